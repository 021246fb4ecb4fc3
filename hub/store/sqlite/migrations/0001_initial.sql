-- Times are microseconds since 1970, UTC. A table keyed by something other than a whole number has no rowid where its rows are
-- small; where they are large it has one, because a clustered row over a quarter of a page would spill.
-- A row that a leaf bears out names it: the log by its origin, and the leaf's index there; where the row changes, it is the leaf of the last
-- change. mac is the hub's own mark (seal.Sealer.RowMAC) over what no leaf says of a row.
-- There are no foreign keys: one writer writes all of a transfer in one commit, and each would cost a look-up on the hot path.

CREATE TABLE transfers (
	id             TEXT    NOT NULL PRIMARY KEY,
	sender         TEXT    NOT NULL,
	sender_system  TEXT    NOT NULL,
	message_id     TEXT    NOT NULL,
	body_digest    BLOB    NOT NULL,
	correlation_id TEXT    NOT NULL,
	recipient      TEXT    NOT NULL,
	type           TEXT    NOT NULL,
	purpose        TEXT    NOT NULL,
	service        TEXT    NOT NULL,
	undertaking    TEXT    NOT NULL,
	flow           TEXT    NOT NULL,
	push           INTEGER NOT NULL CHECK (push IN (0, 1)),
	state          TEXT    NOT NULL,
	created_at     INTEGER NOT NULL,
	updated_at     INTEGER NOT NULL,
	expires_at     INTEGER NOT NULL,
	log            TEXT    NOT NULL,
	decision_leaf  INTEGER NOT NULL,
	release_leaf   INTEGER NOT NULL,
	mac            BLOB    NOT NULL
) STRICT, WITHOUT ROWID;

-- A sender's message id is its idempotency key.
CREATE UNIQUE INDEX transfers_message ON transfers (sender, message_id, recipient);
-- What waits for a recipient: as small as the backlog, whatever the size of the table.
CREATE INDEX transfers_inbox ON transfers (recipient, id) WHERE state IN ('queued', 'released');
-- What waits for a person.
CREATE INDEX transfers_state ON transfers (state, id);

CREATE TABLE payloads (
	transfer_id TEXT    NOT NULL PRIMARY KEY,
	ciphertext  BLOB    NOT NULL,
	wrapped_key BLOB    NOT NULL,
	nonce       BLOB    NOT NULL,
	expires_at  INTEGER NOT NULL -- the transfer's, so that only what still has a payload is looked through
) STRICT;

CREATE INDEX payloads_expiry ON payloads (expires_at);

CREATE TABLE subjects (
	id   TEXT NOT NULL PRIMARY KEY,
	salt BLOB NOT NULL,
	mac  BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE identifiers (
	hash       BLOB NOT NULL PRIMARY KEY,
	subject_id TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX identifiers_subject ON identifiers (subject_id); -- to erase a person

CREATE TABLE transfer_subjects (
	transfer_id TEXT    NOT NULL,
	role        TEXT    NOT NULL,
	position    INTEGER NOT NULL,
	subject_id  TEXT    NOT NULL,
	PRIMARY KEY (transfer_id, role, position)
) STRICT, WITHOUT ROWID;

CREATE INDEX transfer_subjects_subject ON transfer_subjects (subject_id);

CREATE TABLE consents (
	id          TEXT    NOT NULL PRIMARY KEY,
	subject_id  TEXT    NOT NULL,
	recorded_by TEXT    NOT NULL,
	at          INTEGER NOT NULL,
	body        BLOB    NOT NULL,
	log         TEXT    NOT NULL,
	leaf        INTEGER NOT NULL,
	mac         BLOB    NOT NULL
) STRICT;

CREATE INDEX consents_leaf ON consents (leaf);
CREATE INDEX consents_subject ON consents (subject_id);

CREATE TABLE outbox (
	transfer_id TEXT    NOT NULL PRIMARY KEY,
	recipient   TEXT    NOT NULL,
	due         INTEGER NOT NULL,
	attempt     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX outbox_due ON outbox (due);

-- What waits for a person to look at it: holds, refusals that somebody may still question, exceptions to be reviewed.
CREATE TABLE work (
	transfer_id TEXT    NOT NULL,
	queue       TEXT    NOT NULL,
	sender      TEXT    NOT NULL,
	owner       TEXT    NOT NULL,
	deadline    INTEGER NOT NULL,
	log         TEXT    NOT NULL, -- and the leaf in it of the decision that made the work
	leaf        INTEGER NOT NULL,
	PRIMARY KEY (transfer_id, queue)
) STRICT, WITHOUT ROWID;

CREATE INDEX work_leaf ON work (leaf);
CREATE INDEX work_sender ON work (sender, queue, deadline, transfer_id);
CREATE INDEX work_queue ON work (queue, deadline, transfer_id);

-- What people have ruled about transfers. The id is made from what was ruled, so that nothing is ruled twice.
CREATE TABLE rulings (
	id          BLOB    NOT NULL PRIMARY KEY,
	transfer_id TEXT    NOT NULL,
	at          INTEGER NOT NULL,
	body        BLOB    NOT NULL,
	log         TEXT    NOT NULL,
	leaf        INTEGER NOT NULL,
	mac         BLOB    NOT NULL
) STRICT;

CREATE INDEX rulings_leaf ON rulings (leaf);
CREATE INDEX rulings_transfer ON rulings (transfer_id);

-- One-off requests without an agreement, and how they were answered.
CREATE TABLE requests (
	reference TEXT    NOT NULL PRIMARY KEY,
	partner   TEXT    NOT NULL,
	state     TEXT    NOT NULL,
	body      BLOB    NOT NULL,
	log       TEXT    NOT NULL,
	leaf      INTEGER NOT NULL,
	mac       BLOB    NOT NULL
) STRICT;

CREATE INDEX requests_leaf ON requests (leaf);
CREATE INDEX requests_partner ON requests (partner, reference);
CREATE INDEX requests_state ON requests (partner, state, reference);

-- What was entered by hand under an id of a partner's own, so that it is entered once.
CREATE TABLE entries (
	id     BLOB    NOT NULL PRIMARY KEY,
	digest BLOB    NOT NULL,
	answer TEXT    NOT NULL,
	log    TEXT    NOT NULL,
	leaf   INTEGER NOT NULL,
	mac    BLOB    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX entries_leaf ON entries (leaf);

-- What people did about versions of agreements, and what parties signed.
CREATE TABLE agreement_acts (
	seq       INTEGER NOT NULL PRIMARY KEY,
	agreement TEXT    NOT NULL,
	version   INTEGER NOT NULL,
	body      BLOB    NOT NULL,
	log       TEXT    NOT NULL,
	leaf      INTEGER NOT NULL,
	mac       BLOB    NOT NULL
) STRICT;

CREATE INDEX agreement_acts_leaf ON agreement_acts (leaf);

-- The heads of the disclosure logs, one for each copy of the hub that ever wrote here. The number stands for the origin in every leaf.
CREATE TABLE logs (
	id         INTEGER NOT NULL PRIMARY KEY,
	origin     TEXT    NOT NULL,
	size       INTEGER NOT NULL,
	root       BLOB    NOT NULL,
	checkpoint BLOB    NOT NULL
) STRICT;

CREATE UNIQUE INDEX logs_origin ON logs (origin);

CREATE TABLE leaves (
	id          INTEGER NOT NULL PRIMARY KEY, -- the log's above the lower 40 bits, and there the leaf's index in the log
	transfer_id TEXT    NOT NULL,             -- what it is filed under; empty when that is nothing
	shape       INTEGER NOT NULL,             -- 0 when it has none; before the body, so that looking at it does not read the body
	body        BLOB    NOT NULL
) STRICT;

CREATE INDEX leaves_transfer ON leaves (transfer_id) WHERE transfer_id <> '';
CREATE INDEX leaves_shape ON leaves (shape, id) WHERE shape <> 0;

CREATE TABLE tiles (
	log    INTEGER NOT NULL,
	level  INTEGER NOT NULL,
	idx    INTEGER NOT NULL,
	hashes BLOB    NOT NULL,
	PRIMARY KEY (log, level, idx)
) STRICT;

-- What leaves say besides who and when, each said once: a search looks through these and then for the leaves.
CREATE TABLE shapes (
	id         INTEGER NOT NULL PRIMARY KEY,
	body       BLOB    NOT NULL,
	first_leaf INTEGER NOT NULL -- leaves.id of the first that has it
) STRICT;

-- Checkpoints that were published, and what witnesses put under them.
CREATE TABLE checkpoints (
	log  INTEGER NOT NULL,
	size INTEGER NOT NULL,
	at   INTEGER NOT NULL,
	note BLOB    NOT NULL,
	PRIMARY KEY (log, size)
) STRICT;

CREATE TABLE cosignatures (
	log     INTEGER NOT NULL,
	size    INTEGER NOT NULL,
	witness TEXT    NOT NULL,
	at      INTEGER NOT NULL,
	line    BLOB    NOT NULL,
	PRIMARY KEY (log, size, witness)
) STRICT;

-- Rights, complaints, incidents and legal holds under way, and the notices to recipients that come of them. A due of 0 is none.
CREATE TABLE cases (
	reference  TEXT    NOT NULL PRIMARY KEY,
	type       TEXT    NOT NULL,
	partner    TEXT    NOT NULL,
	subject_id TEXT    NOT NULL, -- empty when it is about nobody in particular
	state      TEXT    NOT NULL,
	opened     INTEGER NOT NULL,
	due        INTEGER NOT NULL,
	closed     INTEGER NOT NULL,
	version    INTEGER NOT NULL,
	body       BLOB    NOT NULL,
	log        TEXT    NOT NULL,
	leaf       INTEGER NOT NULL,
	mac        BLOB    NOT NULL
) STRICT;

CREATE INDEX cases_leaf ON cases (leaf);
CREATE INDEX cases_partner ON cases (partner, reference);
CREATE INDEX cases_subject ON cases (subject_id, reference);
CREATE INDEX cases_state ON cases (state, reference);
CREATE INDEX cases_due ON cases (due) WHERE due > 0;

CREATE TABLE notices (
	id             TEXT    NOT NULL PRIMARY KEY,
	case_reference TEXT    NOT NULL,
	sender         TEXT    NOT NULL,
	recipient      TEXT    NOT NULL,
	state          TEXT    NOT NULL,
	due            INTEGER NOT NULL,
	version        INTEGER NOT NULL,
	body           BLOB    NOT NULL,
	log            TEXT    NOT NULL,
	leaf           INTEGER NOT NULL,
	mac            BLOB    NOT NULL
) STRICT;

CREATE INDEX notices_leaf ON notices (leaf);
CREATE INDEX notices_case ON notices (case_reference, id);
CREATE INDEX notices_sender ON notices (sender, id);
CREATE INDEX notices_recipient ON notices (recipient, id);
CREATE INDEX notices_state ON notices (state, id);
CREATE INDEX notices_due ON notices (due) WHERE due > 0;

-- Client assertions that were used, until they expire by themselves.
CREATE TABLE assertions (
	digest BLOB    NOT NULL PRIMARY KEY,
	until  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX assertions_until ON assertions (until);
