-- The rows of a data folder, format version 1. {ID}, {BYTES}, {TEXTKEY} and {ROWLESS} are filled in
-- by the dialect (see sql.rs).
-- Digests are interned once, as algorithm byte + hash, so that every other index is over small integers. What entries speak of
-- and is no artifact stands among them by byte 0 + SHA-256 of what it is called.

CREATE TABLE meta (
    name {TEXTKEY} PRIMARY KEY,
    value {TEXTKEY} NOT NULL
);

CREATE TABLE repo (
    id {ID} PRIMARY KEY,
    name {TEXTKEY} NOT NULL UNIQUE
);

CREATE TABLE digest (
    id {ID} PRIMARY KEY,
    value {BYTES} NOT NULL UNIQUE
);

-- Content, whoever holds it. Where the bytes are: kind 0 = in `body`; 1 = a file;
-- 2 and 3 = composed from entry `entry_idx` (its transparent statement, its bare receipt); 4 = nowhere: it was damaged and
-- set aside, nobody is shown it, and the next push of the content takes the row over.
CREATE TABLE blob (
    digest_id {ID} PRIMARY KEY,
    size BIGINT NOT NULL,
    kind BIGINT NOT NULL,
    entry_idx BIGINT,
    body {BYTES}
);

-- A blob is visible through a repository only by such a row. `linked_at` (Unix seconds) is when it was last pushed,
-- mounted or seen there. The digest comes first in the key: new rows go to the end, and the holders of a digest stand together.
CREATE TABLE blob_link (
    digest_id BIGINT NOT NULL,
    repo_id BIGINT NOT NULL,
    linked_at BIGINT NOT NULL,
    PRIMARY KEY (digest_id, repo_id)
) {ROWLESS};

-- The bytes of a manifest are its `blob` row. `descriptor` is how it appears in a referrers answer.
CREATE TABLE manifest (
    digest_id BIGINT NOT NULL,
    repo_id BIGINT NOT NULL,
    media_type TEXT NOT NULL,
    subject_id BIGINT,
    artifact_type TEXT,
    descriptor TEXT,
    PRIMARY KEY (digest_id, repo_id)
) {ROWLESS};
CREATE INDEX manifest_by_subject ON manifest (repo_id, subject_id, digest_id) WHERE subject_id IS NOT NULL;

-- What the manifests of a repository name: config, layers, children. It keeps blobs from the collector, so what is never
-- collected needs no row. Rows of a deleted manifest stay until the collector passes, and count for nothing.
CREATE TABLE reference (
    target_id BIGINT NOT NULL,
    repo_id BIGINT NOT NULL,
    manifest_id BIGINT NOT NULL,
    PRIMARY KEY (target_id, repo_id, manifest_id)
) {ROWLESS};

CREATE TABLE tag (
    repo_id BIGINT NOT NULL,
    name {TEXTKEY} NOT NULL,
    digest_id BIGINT NOT NULL,
    PRIMARY KEY (repo_id, name)
) {ROWLESS};
CREATE INDEX tag_by_digest ON tag (repo_id, digest_id);

-- The newest tree; one row. It commits with the entries it covers.
CREATE TABLE head (
    id {ID} PRIMARY KEY CHECK (id = 0),
    size BIGINT NOT NULL,
    root {BYTES} NOT NULL,
    frontier {BYTES} NOT NULL
);

-- One signature for every receipt of a batch. A batch is named by the tree size it ends with.
CREATE TABLE batch (
    tree_size {ID} PRIMARY KEY,
    root {BYTES} NOT NULL,
    logged_at BIGINT NOT NULL,
    protected {BYTES} NOT NULL,
    signature {BYTES} NOT NULL
);

-- What witnesses said of the log's checkpoints: for each witness (its verifier key) the newest, and the one at the size of
-- the checkpoint that is published. `line` is the signature line of the note.
CREATE TABLE cosignature (
    witness {TEXTKEY} NOT NULL,
    tree_size BIGINT NOT NULL,
    line TEXT NOT NULL,
    PRIMARY KEY (witness, tree_size)
) {ROWLESS};

-- The ledger. `bytes` are what the leaf hashes; `path` is the inclusion path in the tree of `tree_size`.
-- `issuer_entry` admitted the issuer, `policy_entry` holds the registration policy, and `decided_at` (Unix seconds) was now
-- for it. `collateral` is the certificate chain (CBOR, RFC 9360) that came beside the entry, where the issuer is known by
-- one that is only named in it: checked, never hashed, needed to decide again. The claim columns are the query index: same
-- row, same commit.
CREATE TABLE entry (
    idx {ID} PRIMARY KEY,
    entry_id {BYTES} NOT NULL UNIQUE,
    bytes {BYTES} NOT NULL,
    leaf {BYTES} NOT NULL,
    tree_size BIGINT NOT NULL,
    path {BYTES} NOT NULL,
    issuer_entry BIGINT NOT NULL,
    policy_entry BIGINT NOT NULL,
    decided_at BIGINT NOT NULL,
    collateral {BYTES},
    issuer_id BIGINT NOT NULL,
    type_id BIGINT NOT NULL,
    subject_id BIGINT
);
CREATE INDEX entry_by_subject ON entry (subject_id, idx) WHERE subject_id IS NOT NULL;
CREATE INDEX entry_by_issuer ON entry (issuer_id, idx);
CREATE INDEX entry_by_type ON entry (type_id, idx);

-- Issuers and claim types, interned.
CREATE TABLE term (
    id {ID} PRIMARY KEY,
    value {TEXTKEY} NOT NULL UNIQUE
);

-- Where statement manifests stand. One entry may stand in several repositories.
CREATE TABLE placement (
    idx BIGINT NOT NULL,
    repo_id BIGINT NOT NULL,
    statement_id BIGINT NOT NULL,
    evidence_id BIGINT,
    PRIMARY KEY (idx, repo_id)
) {ROWLESS};

-- The tags that entries observe, by which a history is found. The empty tag: the entry says that observation of the repository
-- was suspended or goes on.
CREATE TABLE observation (
    repo_id BIGINT NOT NULL,
    tag {TEXTKEY} NOT NULL,
    idx BIGINT NOT NULL,
    PRIMARY KEY (repo_id, tag, idx)
) {ROWLESS};

-- How much was observed in a repository on the day (since 1970) of its newest observation.
CREATE TABLE observed (
    repo_id {ID} PRIMARY KEY,
    day BIGINT NOT NULL,
    count BIGINT NOT NULL,
    is_suspended BIGINT NOT NULL
);
