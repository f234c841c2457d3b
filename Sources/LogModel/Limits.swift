/// Every bound of the daemon that is not a configuration key, with its unit and reason. What a bound protects is counted
/// when it is reached (docs/metrics.md).
public enum Limits {
    // MARK: Records

    /// Bytes of a message that are kept; longer ones are cut. PostgreSQL would take more, a person would not read it.
    public static let messageByteCountMax = 64 * 1024
    /// Bytes of a source, host, tenant or dashboard name. DNS allows 253 for a host; unit names are shorter.
    public static let nameByteCountMax = 255
    /// Bytes of one kept sample: enough for a long line with its stack's first frame.
    public static let sampleByteCountMax = 256
    /// Samples a series keeps in one window.
    public static let sampleCountMax = 3

    // MARK: Open batch

    /// Attribute keys summarised per series and window; further ones are not kept.
    public static let attributeCountMax = 8
    /// Values told apart per key; further ones count as "other". Eight keys of four 64-byte values are at most 2 KiB a series.
    public static let attributeValueCountMax = 4
    public static let attributeKeyByteCountMax = 64
    public static let attributeValueByteCountMax = 64
    /// Origins (source, host, tenant and dashboard together) known at once; the rest are counted under `<other>`. About 150
    /// bytes each.
    public static let originCountMax = 4096
    /// Series in one open batch; one more seals it for memory. Twice the default number of patterns.
    public static let seriesCountMax = 16_384
    /// The open batch may take this share of the memory budget before it is sealed for memory.
    public static let openBatchBudgetShare = 4

    /// Two seals for size begin at least this far apart: at 10,000 logs a second and more a batch holds a tenth of a
    /// second, and costs a commit of the same series as one of `BATCH_SIZE` logs.
    public static let sizeSealDistance = Duration.milliseconds(100)
    /// A request that has a durable record becomes durable as a whole this soon, whatever the window.
    public static let companionDelay = Duration.seconds(1)

    // MARK: Delivery

    /// How long a sender who waits for a durable receipt gives a sink before the spool is taken (docs/formats/delivery.md): so
    /// long, or more up to the ceiling where the sink took more within the last one to two of these spans.
    public static let sinkPatience = Duration.milliseconds(250)
    public static let sinkPatienceCeiling = Duration.seconds(1)
    public static let sinkPatienceMemory = Duration.seconds(600)
    /// How often the place in a replayable source is copied to the disk: some 20 KiB each time there is anything new. Every ten
    /// minutes they were three fifths of what an hour wrote (docs/benchmarks.md, "Writes to the disk"). The copy is read after a power
    /// cut at which PostgreSQL cannot be asked, and nowhere else.
    public static let positionCopyInterval = Duration.seconds(1200)
    /// The longest pause between two attempts at a sink that is away.
    public static let retryDelayCeiling = Duration.seconds(60)
    /// The first attempt's longest pause; doubled with each failure.
    public static let retryDelayBase = Duration.milliseconds(250)
    /// A sink that worked this long has recovered: the next failure starts from the first pause again.
    public static let retryResetAfter = Duration.seconds(60)
    /// How often a sink that is away is probed without logging in: its return is seen within half a second at first,
    /// later at a twentieth of the outage so far, at most this.
    public static let probeInterval = Duration.milliseconds(500)
    public static let probeIntervalCeiling = Duration.seconds(5)
    /// Payload bytes drained from the spool in one transaction: some thousand series, a few milliseconds.
    public static let drainByteCountMax = 512 * 1024
    /// Batches that neither sink nor spool took are merged in memory past this many, so that they take what one of them does.
    public static let waitingBatchCountMax = 8
    /// How long a request waits for its durable receipt before it is answered 503.
    public static let receiptWait = Duration.seconds(30)
    /// Of the five seconds a stop may take, what lanes get before the rest goes to the spool.
    public static let stopPatience = Duration.seconds(2)

    // MARK: HTTP

    /// How long an `Idempotency-Key` is remembered. Node.js and Python clients give up after some minutes.
    public static let requestKeyLifetime = Duration.seconds(600)
    /// Keys remembered at once, some 150 bytes each: 27 requests a second for ten minutes.
    public static let requestKeyCountMax = 16_384
    /// Bytes of a key: a UUID has 36.
    public static let requestKeyByteCountMax = 255

    /// The most that `HTTP_BODY_LIMIT` may be: half the memory promise.
    public static let bodyByteCountMax = 16 * 1024 * 1024
    /// Bytes of all requests that have not arrived whole. Past it connections are not read on until there is room, all but one,
    /// which may go on to its end (`HTTP_BODY_LIMIT`): together less than half the memory promise.
    public static let bodyBytesInFlightMax = 4 * 1024 * 1024
    /// Bytes of a body that must have come within a sweep of five seconds while others wait for its memory, else it is given up:
    /// 13 kB a second, what a bad mobile link still does.
    public static let slowBodyByteCountMin = 64 * 1024
    /// How long the one body that may go past the bound of all may stand still while others wait: a lost packet is sent again within it.
    public static let bodyStallTime = Duration.seconds(1)
    /// What a client may send ahead while it has not been answered; then it waits in its own socket buffer.
    public static let requestAheadByteCountMax = 16 * 1024
    /// Answers on one connection that are flushed together: a pipelining client can ask for some thousand with one read.
    public static let unflushedByteCountMax = 16 * 1024
    /// Bytes of answers that clients do not read, of all connections together; past it the one that has not read for longest goes. Room for two
    /// large pages of patterns, and an eighth of the memory promise.
    public static let blockedByteCountMax = 4 * 1024 * 1024
    /// The body of a request that was turned away is read past when it is at most so long; else the connection ends.
    public static let skippedBodyByteCountMax = 64 * 1024
    /// After an answer that ends a connection in the middle of a request, how long the rest of it is read and thrown away.
    public static let lingerTime = Duration.milliseconds(500)
    /// What a connection takes that was used: measured, 2.4 kB before the first request, 3.4 after one, of
    /// whatever size.
    public static let connectionByteCount = 4 * 1024
    /// Connections open at once; for one more the one idle longest is closed.
    public static let connectionCountMax = 1024
    /// A connection with no complete request for this long is closed. The `Keep-Alive` hint says five seconds less, so that
    /// the client's side gives up first and never writes into a closing connection.
    public static let connectionIdleTimeout = Duration.seconds(75)
    /// How much earlier the `Keep-Alive` hint ends than the connection.
    public static let keepAliveMargin = Duration.seconds(5)
    /// From a request's first byte to its last.
    public static let requestReadTimeout = Duration.seconds(30)
    /// Clients of the log stream at once.
    public static let tailClientCountMax = 8
    /// Bytes waiting for one client of the log stream; what does not fit is left out and said in the stream.
    public static let tailBacklogByteCountMax = 256 * 1024
}
