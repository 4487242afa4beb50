-- The ledger and all that hangs on it. The readings table and the view on it
-- are made beside this, in readings.go: their shape depends on the key mode
-- and on the TimescaleDB extension.
--
-- Fixed-width columns stand first, widest first: the ledger is the largest
-- table after the readings, and alignment gaps would be paid in every row.
-- A null costs nothing: where most rows have none, a column is less than a row
-- of a table beside.

-- +goose Up
create table settings (
    name  text primary key,
    value text not null
);
comment on table settings is 'What was chosen when the schema was made: key mode, hypertable; and which ledger this is, and was rebuilt from';

create table runs (
    id      int4 generated always as identity primary key,
    started timestamptz not null default now(),
    command text not null,
    host    text not null,
    version text not null,
    source  int2,
    series  int4,
    feeds   int4,
    ended   timestamptz,
    told    timestamptz
);
comment on table runs is 'One row per process that loaded something';
comment on column runs.series is 'the last series that was there before: what was known then. A run that goes on with one that was cut short has that one''s';
comment on column runs.feeds is 'likewise, the last feed';
comment on column runs.ended is 'when it came to the end of its source; null for one that is under way, or was cut short';
comment on column runs.told is 'up to when the marks have what it changed; null when nothing of it was told yet';

create table sources (
    id   int2 generated always as identity primary key,
    name text not null unique,
    root text not null,
    on_conflict text not null default 'latest',
    archive text not null default ''
);
comment on table sources is 'Names in the ledger, where their files were last found, and the policy they were last loaded with';
comment on column sources.archive is 'the folder of the archive that their bytes were last kept in; empty for none';

create table recipes (
    id       int4 generated always as identity primary key,
    digest   bytea not null unique,
    profile  text  not null,
    zone     text  not null,
    settings text  not null default '',
    body     text  not null,
    trust    int2  not null default 0
);
comment on table recipes is 'What files were read with, complete, so that they can be read the same way again';
comment on column recipes.trust is '0: a person or Penstock wrote the profile; 1: a person approved it; 2: it was guessed';

create table series (
    id      int4 generated always as identity primary key,
    logger  text not null,
    channel text not null,
    unit    text not null,
    label   text not null,
    unique (logger, channel)
);
comment on table series is 'One row per (logger, channel); label is the header text the channel was first seen under';

create table feeds (
    id     int4 generated always as identity primary key,
    source int2 not null,
    recipe int4 not null,
    logger text not null,
    unique (logger, source, recipe)
);
comment on table feeds is 'From which sources, and read with which recipes, a logger''s readings came';

create table packs (
    id   int4 generated always as identity primary key,
    name text not null unique
);
comment on table packs is 'Packs of the archive that file versions are in, by their names below its folder; a pack may have been let go of since';

create type file_state as enum ('loaded', 'duplicate', 'held', 'quarantined', 'undone', 'skipped', 'due', 'loading');

-- Ids are drawn by the block, one call of nextval for each: the value and those up to
-- the next.
create sequence file_ids as int8 increment by 16;

-- What is in an index stands first: every row that is written is taken apart up to
-- there for each index.
create table files (
    id               int8 primary key default nextval('file_ids'),
    changed          timestamptz not null default now(),
    changed_by       int8 not null default txid_current(),
    key              uuid not null,
    content          uuid,
    generation       int4 not null,
    state            file_state not null,
    span_first       timestamptz,
    span_last        timestamptz,
    rank_time        timestamptz not null,
    fetched          timestamptz not null,
    modified         timestamptz,
    size             int8 not null,
    n_lines          int8,
    n_lines_header   int8,
    n_lines_data     int8,
    n_cells          int8,
    n_stored         int8,
    run              int4 not null,
    chunk            int4 not null,
    recipe           int4,
    modified_step    int4,
    source           int2 not null,
    rank             int2 not null,
    trusted          bool not null,
    pack             int4,
    pack_offset      int8,
    n_lines_preamble int8,
    n_lines_blank    int8,
    n_lines_comment  int8,
    n_lines_footer   int8,
    n_lines_message  int8,
    n_lines_rejected int8,
    n_missing        int8,
    n_rejected       int8,
    n_withheld       int8,
    n_repeated       int8,
    n_replaced       int8,
    n_unchanged      int8,
    n_outranked      int8,
    sha256           bytea not null,
    series_ids       int4[],
    path             text collate "C" not null,
    reason           text,
    unique (key, generation),
    constraint lines_balance check (n_lines is null or coalesce(n_lines = coalesce(n_lines_preamble, 0) + n_lines_header + coalesce(n_lines_blank, 0)
        + coalesce(n_lines_comment, 0) + coalesce(n_lines_footer, 0) + coalesce(n_lines_message, 0) + n_lines_data + coalesce(n_lines_rejected, 0), false)),
    constraint cells_balance check (n_lines is null or coalesce(n_cells = coalesce(n_missing, 0) + coalesce(n_rejected, 0) + coalesce(n_withheld, 0)
        + coalesce(n_repeated, 0) + n_stored + coalesce(n_replaced, 0) + coalesce(n_unchanged, 0) + coalesce(n_outranked, 0), false))
);
comment on table files is 'The ledger: one row per file version, with its receipt. The view receipts is to be read';
comment on column files.n_lines is 'with which the receipt begins; null where there is none. Of the other counts those are null that are 0, as most are: they take no room';
comment on column files.key is '4 bytes of about when its path says the file is from, then the first 12 of the SHA-256 of source, NUL, path';
comment on column files.content is '4 bytes of about when its content says it is from, then 12 of a digest of what decides the readings: content, recipe, and what the profile took from name and source';
comment on column files.rank_time is 'the file''s own time: from its name, or modified as first recorded; never less than the previous generation''s';
comment on column files.modified is 'as last listed, in steps of modified_step seconds (0: microseconds, null: not known)';
comment on column files.trusted is 'size and modified may stand for the content in the pre-filter';
comment on column files.pack is 'where the archive has its bytes; null where it was not archived';
comment on column files.pack_offset is 'in the pack, in bytes';
comment on column files.fetched is 'when this version was first fetched';
comment on column files.changed is 'when its state was last set; greater with each time';
comment on column files.changed_by is 'the transaction that changed it last, as pg_current_xact_id()';
comment on column files.path is 'below the source''s root; bytes that are not printable UTF-8, and the backslash, as \xNN';

-- One content is loaded once, however many processes try at the same moment.
create unique index files_loaded_content on files (content) where state = 'loaded';
create index files_duplicate_content on files (content) where state = 'duplicate';
-- What changed lately, for the copy of the ledger in the archive, and for the marks;
-- and what spans some instants: files come in about the order of theirs, so that this
-- finds those of a few days in a ledger of many years. It is a few pages however long
-- that is.
create index files_changed_span on files using brin (changed_by, changed, span_first, span_last) with (pages_per_range = 32, autosummarize = on);

-- What adds counts up reads this: a sum with a null in it is null.
create view receipts as select id as file_id, span_first as first_ts, span_last as last_ts, n_lines as lines,
    coalesce(n_lines_preamble, 0) as lines_preamble, n_lines_header as lines_header, coalesce(n_lines_blank, 0) as lines_blank,
    coalesce(n_lines_comment, 0) as lines_comment, coalesce(n_lines_footer, 0) as lines_footer, coalesce(n_lines_message, 0) as lines_message,
    n_lines_data as lines_data, coalesce(n_lines_rejected, 0) as lines_rejected, n_cells as cells, coalesce(n_missing, 0) as missing,
    coalesce(n_rejected, 0) as rejected, coalesce(n_withheld, 0) as withheld, coalesce(n_repeated, 0) as repeated, n_stored as stored,
    coalesce(n_replaced, 0) as replaced, coalesce(n_unchanged, 0) as unchanged, coalesce(n_outranked, 0) as outranked, series_ids as series
    from files where n_lines is not null;
comment on view receipts is 'What became of every line and cell of a file version, the instants it spans and its series';

create table shapes (
    id       text primary key,
    seen     timestamptz not null default now(),
    loose    bool  not null,
    answered bool  not null default false,
    settled  bool  not null default false,
    profile  text  not null,
    header   text[],
    question text  not null,
    asks     text  not null,
    answers  jsonb not null,
    approved text
);
comment on table shapes is 'Kinds of files that Penstock has a question about';
comment on column shapes.profile is 'what would read them, as YAML';
comment on column shapes.loose is 'the profile matches files of other columns, too';
comment on column shapes.asks is 'the key of --set that answers the question; empty where the profile as it stands does';
comment on column shapes.approved is 'what reads them since a person answered, as YAML';
comment on column shapes.settled is 'a person has said yes to files of known loggers that are not what they were, and not only to how files are read';
comment on column shapes.answered is 'the question is the one that approved answers; false when another came up since';

create table held (
    file_id int8 primary key,
    shape   text not null,
    logger  text
);
create index held_shape on held (shape);
comment on column held.logger is 'which the question is about, where the file is held for a change of that logger';
comment on table held is 'Which files wait for the answer to a shape''s question, whole or, of those that are loaded, with the channels that are new';

create table growths (
    file_id int8 primary key,
    at      int8  not null,
    whole   timestamptz not null,
    hashed  bytea not null,
    "window" bytea not null
);
comment on table growths is 'By what a loaded file is carried on when it has grown: up to which byte it was read, the hashes up to there, and when all of it was last read. Of files that are large, or have grown before';

create table loadings (
    file_id  int8 primary key,
    bytes    int8 not null,
    parts    int4 not null,
    readings int4 not null
);
comment on table loadings is 'Files that are loading in parts: into how many they are cut, after how many bytes of text (0: they are cut by series) or readings each. A row goes when its file is loaded';

create table parts (
    file_id  int8 not null,
    repeated int8 not null,
    n        int4 not null,
    primary key (file_id, n)
);
comment on table parts is 'Which parts of files that are loading are committed. What they hold is in the readings, and not seen yet';
comment on column parts.repeated is 'readings of the file that others of it, further down, replaced when the part was committed';

create table waiting (
    file_id   int8 not null,
    ts        timestamptz not null,
    value     float8 not null,
    series_id int4 not null,
    quality   text,
    primary key (file_id, series_id, ts)
);
comment on table waiting is 'Readings of files that are loading, at instants of which another file has one: which of them stands is decided when the file is loaded';

create table rejects (
    file_id  int8 not null,
    line     int8 not null,
    "column" int4 not null,
    reason   text not null,
    raw      text not null
);
create index rejects_file on rejects (file_id);
comment on table rejects is 'Lines, and single cells (column > 0), that could not be read';

create table passes (
    file_id int8 primary key,
    pass    int2 not null check (pass in (1, 2))
);
comment on table passes is 'In which pass of an hour that clocks showed twice a file''s readings were recorded, where only the order of arrival told it; an undone file keeps it, for others were put beside it';

create table takeovers (
    from_file int8 not null,
    by_file   int8 not null,
    n         int8 not null,
    primary key (from_file, by_file)
);
create index takeovers_by on takeovers (by_file);
comment on table takeovers is 'Readings that passed from one file to another, of greater rank';

create table actions (
    id       int8 generated always as identity primary key,
    at       timestamptz not null default now(),
    db_user  text not null default current_user,
    os_user  text not null,
    host     text not null,
    command  text not null,
    reason   text not null,
    files    int8 not null,
    readings int8 not null,
    run      int4 not null default 0
);
-- A correction of many files is several transactions and one action.
create unique index actions_run on actions (run) where run <> 0;
comment on table actions is 'Whatever a person did to the data';

create table marks (
    series_id        int4 primary key,
    last_ts          timestamptz not null,
    contiguous_until timestamptz not null,
    since            timestamptz,
    step             interval,
    stale            bool not null default false,
    anew             bool not null default false
);
create index marks_stale on marks (series_id) where stale;
comment on table marks is 'Up to when each series is complete; written after commits, in batches. The view watermarks is to be read';
comment on column marks.since is 'from when on it was looked at, or went on; what comes before may have a gap behind it';
comment on column marks.step is 'the median of its last steps; null while there are fewer than two readings';
comment on column marks.stale is 'to be looked at in the readings: they did not simply go on';
comment on column marks.anew is 'readings were taken out, or came before since, so from further back than contiguous_until';

create table arrivals (
    logger text primary key,
    last   timestamptz not null,
    every  interval,
    steps  int8[] not null
);
comment on table arrivals is 'When files of a logger come from live sources';
comment on column arrivals.every is 'the median of the steps; null while there are fewer than three';
comment on column arrivals.steps is 'the last ones between files, in microseconds, the latest at the end; files that come together count as one';

create table leases (
    source text primary key,
    holder text not null,
    token  uuid not null,
    since  timestamptz not null,
    until  timestamptz not null,
    lag    interval    not null default '0'
);
comment on table leases is 'Which process may load a source continuously: one at a time. All times are by this database''s clock';
comment on column leases.holder is 'for people: the host and the process';
comment on column leases.token is 'drawn by the process for this lease alone';
comment on column leases.until is 'when it ends unless it is renewed before; in the past where it was given back';
comment on column leases.lag is 'for how long a file of the source had waited to be loaded, when the lease was renewed last';

-- +goose Down
drop view receipts;
drop table arrivals, marks, leases, actions, takeovers, passes, rejects, waiting, parts, loadings, growths, held, shapes, files, packs, feeds, series, recipes, sources, runs, settings;
drop type file_state;
drop sequence file_ids;
