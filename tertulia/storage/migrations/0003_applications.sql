-- Jobs, the applications for them, and what is known of the people who apply. Everything belongs to one tenant.

-- `questions` go with their job: they are read and written as one.
CREATE TABLE jobs (
    tenant      text NOT NULL,
    job_id      text NOT NULL,
    title       text NOT NULL,
    description text NOT NULL,
    location    text NOT NULL,
    skills      jsonb NOT NULL,
    currency    text NOT NULL,
    status      text NOT NULL CHECK (status IN ('open', 'closed')),
    questions   jsonb NOT NULL,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    PRIMARY KEY (tenant, job_id)
);
-- For lists, newest first.
CREATE INDEX jobs_newest ON jobs (tenant, created_at, job_id);
CREATE INDEX jobs_in_status ON jobs (tenant, status, created_at, job_id);

CREATE TABLE applications (
    tenant         text NOT NULL,
    application_id text NOT NULL,
    job_id         text NOT NULL,
    user_id        text NOT NULL,
    session_id     text,
    status         text NOT NULL
                   CHECK (status IN ('draft', 'in_progress', 'submitted', 'screened', 'shortlisted', 'rejected',
                                     'withdrawn', 'hired')),
    answers        jsonb NOT NULL,
    prescreen      jsonb,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    -- What the candidates of a job are sorted by; below every score where there is none yet.
    score          double precision NOT NULL
                   GENERATED ALWAYS AS (coalesce((prescreen ->> 'jd_match_score')::double precision, -1)) STORED,
    PRIMARY KEY (tenant, application_id),
    FOREIGN KEY (tenant, job_id) REFERENCES jobs
);
-- A person has one application for a job at a time; another may follow once the first is decided.
CREATE UNIQUE INDEX applications_undecided ON applications (tenant, job_id, user_id)
WHERE status NOT IN ('rejected', 'withdrawn', 'hired');
CREATE INDEX applications_newest ON applications (tenant, created_at, application_id);
CREATE INDEX applications_of_user ON applications (tenant, user_id, created_at, application_id);
CREATE INDEX applications_of_job ON applications (tenant, job_id, created_at, application_id);
CREATE INDEX applications_in_status ON applications (tenant, status, created_at, application_id);
CREATE INDEX applications_of_session ON applications (session_id);
CREATE INDEX applications_by_score ON applications (tenant, job_id, score, application_id);

CREATE TABLE application_timeline (
    tenant         text NOT NULL,
    application_id text NOT NULL,
    seq            integer NOT NULL CHECK (seq >= 1),
    at             timestamptz NOT NULL,
    by             text NOT NULL CHECK (by IN ('candidate', 'recruiter', 'system')),
    kind           text NOT NULL CHECK (kind IN ('created', 'continued', 'answered', 'moved')),
    status         text NOT NULL,
    qids           jsonb NOT NULL,
    reason         text NOT NULL,
    PRIMARY KEY (tenant, application_id, seq),
    FOREIGN KEY (tenant, application_id) REFERENCES applications ON DELETE CASCADE
);

CREATE TABLE profiles (
    tenant           text NOT NULL,
    user_id          text NOT NULL,
    name             text,
    email            text,
    phone            text,
    location         text,
    links            jsonb NOT NULL,
    experience_years double precision,
    skills           jsonb NOT NULL,
    answers          jsonb NOT NULL,
    updated_at       timestamptz,
    PRIMARY KEY (tenant, user_id)
);

-- The files themselves are here and nowhere else, so that erasing a row erases the file.
CREATE TABLE resumes (
    tenant      text NOT NULL,
    user_id     text NOT NULL,
    media_type  text NOT NULL,
    content     bytea NOT NULL,
    found       jsonb NOT NULL,
    uploaded_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, user_id)
);
