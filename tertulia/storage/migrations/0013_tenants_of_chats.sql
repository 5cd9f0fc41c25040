-- A channel's chats are a tenant's; and whoever is erased is found among them.
ALTER TABLE channel_chats
    ADD COLUMN tenant text NOT NULL DEFAULT 'default',
    DROP CONSTRAINT channel_chats_channel_person_definition_key,
    ADD UNIQUE (tenant, channel, person, definition);
ALTER TABLE channel_chats ALTER COLUMN tenant DROP DEFAULT;
CREATE INDEX channel_chats_of_user ON channel_chats (tenant, user_id);
