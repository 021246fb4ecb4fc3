-- Times are microseconds since 1970, UTC. Keys sort by their bytes (COLLATE "C"), whatever the language of the database.
-- A row that a leaf bears out names it: the log by its origin, and the leaf's index there; where the row changes, it is the leaf of the last
-- change. mac is the hub's own mark (seal.Sealer.RowMAC) over what no leaf says of a row.
-- There are no foreign keys: one writer writes all of a transfer in one commit, and each would cost a look-up and a row lock on the
-- hot path.

CREATE TABLE transfers (
	id             TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	sender         TEXT COLLATE "C" NOT NULL,
	sender_system  TEXT             NOT NULL,
	message_id     TEXT COLLATE "C" NOT NULL,
	body_digest    BYTEA            NOT NULL,
	correlation_id TEXT             NOT NULL,
	recipient      TEXT COLLATE "C" NOT NULL,
	type           TEXT             NOT NULL,
	purpose        TEXT             NOT NULL,
	service        TEXT             NOT NULL,
	undertaking    TEXT             NOT NULL,
	flow           TEXT             NOT NULL,
	push           BIGINT           NOT NULL CHECK (push IN (0, 1)),
	state          TEXT COLLATE "C" NOT NULL,
	created_at     BIGINT           NOT NULL,
	updated_at     BIGINT           NOT NULL,
	expires_at     BIGINT           NOT NULL,
	log            TEXT             NOT NULL,
	decision_leaf  BIGINT           NOT NULL,
	release_leaf   BIGINT           NOT NULL,
	mac            BYTEA            NOT NULL
) WITH (fillfactor = 80); -- each is updated a few times soon after it is written: leave room for it on its own page

-- A sender's message id is its idempotency key.
CREATE UNIQUE INDEX transfers_message ON transfers (sender, message_id, recipient);
-- What waits for a recipient: as small as the backlog, whatever the size of the table.
CREATE INDEX transfers_inbox ON transfers (recipient, id) WHERE state IN ('queued', 'released');
-- What waits for a person.
CREATE INDEX transfers_state ON transfers (state, id);

CREATE TABLE payloads (
	transfer_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	ciphertext  BYTEA            NOT NULL,
	wrapped_key BYTEA            NOT NULL,
	nonce       BYTEA            NOT NULL,
	expires_at  BIGINT           NOT NULL -- the transfer's, so that only what still has a payload is looked through
) WITH (
	-- A sealed payload does not compress, and one of a few kilobytes is written twice as fast beside its row as out of line.
	toast_tuple_target = 8160,
	-- Every payload is deleted soon: clean up by count, not when a fifth of a table that may be empty has gone.
	autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 10000
);
ALTER TABLE payloads ALTER COLUMN ciphertext SET STORAGE MAIN;

CREATE INDEX payloads_expiry ON payloads (expires_at);

CREATE TABLE subjects (
	id   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	salt BYTEA            NOT NULL,
	mac  BYTEA            NOT NULL
);

CREATE TABLE identifiers (
	hash       BYTEA            NOT NULL PRIMARY KEY,
	subject_id TEXT COLLATE "C" NOT NULL
);

CREATE INDEX identifiers_subject ON identifiers (subject_id); -- to erase a person

CREATE TABLE transfer_subjects (
	transfer_id TEXT COLLATE "C" NOT NULL,
	role        TEXT COLLATE "C" NOT NULL,
	position    BIGINT           NOT NULL,
	subject_id  TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (transfer_id, role, position)
);

CREATE INDEX transfer_subjects_subject ON transfer_subjects (subject_id);

CREATE TABLE consents (
	id          TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	subject_id  TEXT COLLATE "C" NOT NULL,
	recorded_by TEXT             NOT NULL,
	at          BIGINT           NOT NULL,
	body        BYTEA            NOT NULL,
	log         TEXT             NOT NULL,
	leaf        BIGINT           NOT NULL,
	mac         BYTEA            NOT NULL
);

CREATE INDEX consents_leaf ON consents (leaf);
CREATE INDEX consents_subject ON consents (subject_id);

CREATE TABLE outbox (
	transfer_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	recipient   TEXT             NOT NULL,
	due         BIGINT           NOT NULL,
	attempt     BIGINT           NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 10000);

CREATE INDEX outbox_due ON outbox (due);

-- What waits for a person to look at it: holds, refusals that somebody may still question, exceptions to be reviewed.
CREATE TABLE work (
	transfer_id TEXT COLLATE "C" NOT NULL,
	queue       TEXT COLLATE "C" NOT NULL,
	sender      TEXT COLLATE "C" NOT NULL,
	owner       TEXT COLLATE "C" NOT NULL,
	deadline    BIGINT           NOT NULL,
	log         TEXT             NOT NULL, -- and the leaf in it of the decision that made the work
	leaf        BIGINT           NOT NULL,
	PRIMARY KEY (transfer_id, queue)
);

CREATE INDEX work_leaf ON work (leaf);
CREATE INDEX work_sender ON work (sender, queue, deadline, transfer_id);
CREATE INDEX work_queue ON work (queue, deadline, transfer_id);

-- What people have ruled about transfers. The id is made from what was ruled, so that nothing is ruled twice.
CREATE TABLE rulings (
	id          BYTEA            NOT NULL PRIMARY KEY,
	transfer_id TEXT COLLATE "C" NOT NULL,
	at          BIGINT           NOT NULL,
	body        BYTEA            NOT NULL,
	log         TEXT             NOT NULL,
	leaf        BIGINT           NOT NULL,
	mac         BYTEA            NOT NULL
);

CREATE INDEX rulings_leaf ON rulings (leaf);
CREATE INDEX rulings_transfer ON rulings (transfer_id);

-- One-off requests without an agreement, and how they were answered.
CREATE TABLE requests (
	reference TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	partner   TEXT COLLATE "C" NOT NULL,
	state     TEXT COLLATE "C" NOT NULL,
	body      BYTEA            NOT NULL,
	log       TEXT             NOT NULL,
	leaf      BIGINT           NOT NULL,
	mac       BYTEA            NOT NULL
);

CREATE INDEX requests_leaf ON requests (leaf);
CREATE INDEX requests_partner ON requests (partner, reference);
CREATE INDEX requests_state ON requests (partner, state, reference);

-- What was entered by hand under an id of a partner's own, so that it is entered once.
CREATE TABLE entries (
	id     BYTEA  NOT NULL PRIMARY KEY,
	digest BYTEA  NOT NULL,
	answer TEXT   NOT NULL,
	log    TEXT   NOT NULL,
	leaf   BIGINT NOT NULL,
	mac    BYTEA  NOT NULL
);

CREATE INDEX entries_leaf ON entries (leaf);

-- What people did about versions of agreements, and what parties signed.
CREATE TABLE agreement_acts (
	seq       BIGINT NOT NULL PRIMARY KEY,
	agreement TEXT   NOT NULL,
	version   BIGINT NOT NULL,
	body      BYTEA  NOT NULL,
	log       TEXT   NOT NULL,
	leaf      BIGINT NOT NULL,
	mac       BYTEA  NOT NULL
);

CREATE INDEX agreement_acts_leaf ON agreement_acts (leaf);

-- The heads of the disclosure logs, one for each copy of the hub that ever wrote here. The number stands for the origin in every leaf.
CREATE TABLE logs (
	id         BIGINT           NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	origin     TEXT COLLATE "C" NOT NULL,
	size       BIGINT           NOT NULL,
	root       BYTEA            NOT NULL,
	checkpoint BYTEA            NOT NULL
) WITH (fillfactor = 20); -- updated by every commit

CREATE UNIQUE INDEX logs_origin ON logs (origin);

CREATE TABLE leaves (
	id          BIGINT           NOT NULL PRIMARY KEY, -- the log's above the lower 40 bits, and there the leaf's index in the log
	transfer_id TEXT COLLATE "C" NOT NULL,             -- what it is filed under; empty when that is nothing
	shape       BIGINT           NOT NULL,             -- 0 when it has none; before the body, so that looking at it does not read the body
	body        BYTEA            NOT NULL
) WITH (toast_tuple_target = 8160);
ALTER TABLE leaves ALTER COLUMN body SET STORAGE MAIN;

CREATE INDEX leaves_transfer ON leaves (transfer_id) WHERE transfer_id <> '';
CREATE INDEX leaves_shape ON leaves (shape, id) WHERE shape <> 0;

CREATE TABLE tiles (
	log    BIGINT NOT NULL,
	level  BIGINT NOT NULL,
	idx    BIGINT NOT NULL,
	hashes BYTEA  NOT NULL,
	PRIMARY KEY (log, level, idx)
);
ALTER TABLE tiles ALTER COLUMN hashes SET STORAGE EXTERNAL; -- hashes do not compress

-- What leaves say besides who and when, each said once: a search looks through these and then for the leaves.
CREATE TABLE shapes (
	id         BIGINT NOT NULL PRIMARY KEY,
	body       BYTEA  NOT NULL,
	first_leaf BIGINT NOT NULL -- leaves.id of the first that has it
);

-- Checkpoints that were published, and what witnesses put under them.
CREATE TABLE checkpoints (
	log  BIGINT NOT NULL,
	size BIGINT NOT NULL,
	at   BIGINT NOT NULL,
	note BYTEA  NOT NULL,
	PRIMARY KEY (log, size)
);

CREATE TABLE cosignatures (
	log     BIGINT           NOT NULL,
	size    BIGINT           NOT NULL,
	witness TEXT COLLATE "C" NOT NULL,
	at      BIGINT           NOT NULL,
	line    BYTEA            NOT NULL,
	PRIMARY KEY (log, size, witness)
);

-- Rights, complaints, incidents and legal holds under way, and the notices to recipients that come of them. A due of 0 is none.
CREATE TABLE cases (
	reference  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	type       TEXT COLLATE "C" NOT NULL,
	partner    TEXT COLLATE "C" NOT NULL,
	subject_id TEXT COLLATE "C" NOT NULL, -- empty when it is about nobody in particular
	state      TEXT COLLATE "C" NOT NULL,
	opened     BIGINT           NOT NULL,
	due        BIGINT           NOT NULL,
	closed     BIGINT           NOT NULL,
	version    BIGINT           NOT NULL,
	body       BYTEA            NOT NULL,
	log        TEXT             NOT NULL,
	leaf       BIGINT           NOT NULL,
	mac        BYTEA            NOT NULL
);

CREATE INDEX cases_leaf ON cases (leaf);
CREATE INDEX cases_partner ON cases (partner, reference);
CREATE INDEX cases_subject ON cases (subject_id, reference);
CREATE INDEX cases_state ON cases (state, reference);
CREATE INDEX cases_due ON cases (due) WHERE due > 0;

CREATE TABLE notices (
	id             TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	case_reference TEXT COLLATE "C" NOT NULL,
	sender         TEXT COLLATE "C" NOT NULL,
	recipient      TEXT COLLATE "C" NOT NULL,
	state          TEXT COLLATE "C" NOT NULL,
	due            BIGINT           NOT NULL,
	version        BIGINT           NOT NULL,
	body           BYTEA            NOT NULL,
	log            TEXT             NOT NULL,
	leaf           BIGINT           NOT NULL,
	mac            BYTEA            NOT NULL
);

CREATE INDEX notices_leaf ON notices (leaf);
CREATE INDEX notices_case ON notices (case_reference, id);
CREATE INDEX notices_sender ON notices (sender, id);
CREATE INDEX notices_recipient ON notices (recipient, id);
CREATE INDEX notices_state ON notices (state, id);
CREATE INDEX notices_due ON notices (due) WHERE due > 0;

-- Client assertions that were used, until they expire by themselves.
CREATE TABLE assertions (
	digest BYTEA  NOT NULL PRIMARY KEY,
	until  BIGINT NOT NULL
);

CREATE INDEX assertions_until ON assertions (until);
