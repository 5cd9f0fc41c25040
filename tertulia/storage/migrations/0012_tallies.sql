-- How many sessions and turns there have been, so that nobody has to count them. It only ever goes up: what is erased,
-- or taken anew, stays counted. Each count is spread over a few rows, so that writers seldom wait for each other.
CREATE TABLE tallies (
    what    text NOT NULL CHECK (what IN ('opened', 'closed', 'begun', 'ended')), -- sessions; turns
    made_by text NOT NULL CHECK (made_by IN ('', 'person', 'intervention', 'engine')),
    status  text NOT NULL,     -- how turns have ended
    bucket  smallint NOT NULL, -- of how long they took
    shard   smallint NOT NULL,
    count   bigint NOT NULL,
    seconds double precision NOT NULL,
    PRIMARY KEY (what, made_by, status, bucket, shard)
) WITH (fillfactor = 50); -- rows are updated all the time, in place

CREATE FUNCTION tally(what text, session_id text, made_by text DEFAULT '', status text DEFAULT '',
                      seconds double precision DEFAULT 0) RETURNS void LANGUAGE sql AS $$
    INSERT INTO tallies AS known (what, made_by, status, bucket, shard, count, seconds)
    VALUES (what, made_by, status,
            width_bucket(seconds, '{0.05,0.1,0.25,0.5,1,2.5,5,10,30,60,120,300}'::double precision[]),
            hashtext(session_id) & 15, 1, seconds)
    ON CONFLICT ON CONSTRAINT tallies_pkey DO UPDATE
    SET count = known.count + 1, seconds = known.seconds + excluded.seconds
$$;

CREATE FUNCTION tally_session() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM tally(CASE TG_OP WHEN 'INSERT' THEN 'opened' ELSE 'closed' END, NEW.session_id);
    RETURN NULL;
END $$;
CREATE TRIGGER tally_opened AFTER INSERT ON sessions FOR EACH ROW EXECUTE FUNCTION tally_session();
CREATE TRIGGER tally_closed AFTER UPDATE OF status ON sessions FOR EACH ROW
WHEN (OLD.status = 'open' AND NEW.status = 'closed') EXECUTE FUNCTION tally_session();

-- A turn begins and ends in two writes, or in one.
CREATE FUNCTION tally_turn() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    made_by text := CASE WHEN NEW.message_ids <> '[]' THEN 'person'
                         WHEN NEW.intervention IS NOT NULL THEN 'intervention' ELSE 'engine' END;
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM tally('begun', NEW.session_id, made_by);
    END IF;
    IF NEW.status <> 'running' THEN
        PERFORM tally('ended', NEW.session_id, made_by, NEW.status, extract(epoch FROM NEW.ended_at - NEW.started_at));
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER tally_begun AFTER INSERT ON turns FOR EACH ROW EXECUTE FUNCTION tally_turn();
CREATE TRIGGER tally_ended AFTER UPDATE OF status ON turns FOR EACH ROW
WHEN (OLD.status = 'running' AND NEW.status <> 'running') EXECUTE FUNCTION tally_turn();
