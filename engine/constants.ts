/** Limits of the engine. Each bounds a queue, a retry or what a stranger may make it do. */

/**
 * Tries of a job before its failure is taken as lasting, and the pauses between them in seconds, doubling up to the
 * maximum: about an hour. A blob that nobody can serve for so long is refused, so that no one can hold up an epoch.
 */
export const retriesMax = 64;
/** A batch may wait for a contribution to be refused, so its tries must outlast a contribution's by some minutes. */
export const batchRetriesMax = 80;
export const retryDelaySeconds = 1;
export const retryDelaySecondsMax = 60;

/** Time a job may run before another worker may claim it. Above the slowest job: 64 prompts of full length on one core. */
export const jobSecondsMax = 300;

/**
 * The same for the job that builds a gradient store: thirty thousand records on one core. What it did so far is kept.
 * pg-boss allows less than a day.
 */
export const storeSecondsMax = 82_800;

/**
 * A job in hand says so twice in this time; one that does not, because the database forgot its end in a crash, is given
 * back. pg-boss allows no less. `jobWatchSeconds` is the time between two looks for such.
 */
export const jobHeartbeatSeconds = 10;
export const jobWatchSeconds = 5;

/** Time a job may wait to be taken, above any outage: pg-boss forgets it afterwards. Ten years; it forgets after two weeks if not told. */
export const jobWaitSecondsMax = 10 * 365 * 86_400;

/** Jobs taken from a queue at once. Fetches wait for the network, scores for the pool. */
export const jobsPerTurn = 8;
/** Pause between two looks at an empty queue, in seconds; pg-boss allows no less. */
export const queuePollSeconds = 0.5;
/** Time between two counts of the jobs. */
export const progressSeconds = 10;
/** How long jobs in hand may take to end when the engine stops. */
export const stopMsMax = 20_000;

/** Rows of one INSERT: PostgreSQL takes 65,535 parameters. */
export const rowsPerInsert = 2_000;

/** Contributions that get their classes of duplicates in one job: some seconds of work. */
export const classesPerTurn = 64;

/** Spans kept of one answer, and places of each, in the order of registration. */
export const spansKeptMax = 64;
export const occurrencesKeptMax = 8;
/** Classes of duplicates credited with words of one answer, those with the most of it. */
export const spanCreditsMax = 256;
/** Records asked for at once when their classes are read. */
export const classesPerQuery = 1_000;

/** Words of contributions that are kept for finding spans, eight bytes each. */
export const spanWordsMax = 50_000_000;

/** Different words among them that are kept from one answer to the next, some hundred bytes each. */
export const spanVocabularyMax = 4_000_000;

/**
 * Time the process of a device may take to open, or for the gradients of one shard, before it is ended: far above either on
 * any GPU; a driver that hangs would hold all stores up.
 */
export const deviceCallMsMax = 1_800_000;

/** Tasks waiting for a worker of the pool. */
export const poolQueueMax = 256;

/**
 * Trainings of models that nobody has paid for yet which are archived, the oldest: anyone may register models. With a blob
 * of 16 MiB each that is 4 GiB. And blobs of one training: the same payload may be dispersed again.
 */
export const archivedUnpaidMax = 256;
export const archivedPerTrainingMax = 2;

/** Time between two looks for blobs on chain that are not in the archive yet. */
export const archiveLookMs = 10_000;
