internal import LogModel

/// Holds each origin to the rate of a source: says which records are counted only, and keeps what was suppressed so.
///
/// Suppressing loses nothing that is counted: the record is in its series, with level, time and latency. What is left out is its
/// sample and its attributes. Memory: a moment for each origin known, and ``SuppressedSeries/countMax`` names.
struct SourceMeters {
    /// `nil`: no limit.
    var limit: RateLimit?
    /// Records counted without their details since the start.
    private(set) var suppressedCount = 0
    private(set) var suppressed = SuppressedSeries()
    /// By the number of the origin.
    private var meters: [RateMeter] = []
    /// Of all origins that do not fit under their bound.
    private var others = RateMeter()

    var byteCount: Int { meters.count * MemoryLayout<RateMeter>.stride }

    /// The origin's number belongs to another one from now on.
    mutating func began(origin: Int) {
        if origin < meters.count { meters[origin] = RateMeter() }
    }

    /// Whether a record of this origin comes faster than its source may. `origin` below zero stands for the others.
    mutating func isSuppressed(origin: Int32, now: MonotonicTime) -> Bool {
        guard let limit else { return false }
        let isTaken: Bool
        if origin < 0 {
            isTaken = others.take(limit, now: now)
        } else {
            while meters.count <= Int(origin) { meters.append(RateMeter()) }
            isTaken = meters[Int(origin)].take(limit, now: now)
        }
        if !isTaken { suppressedCount += 1 }
        return !isTaken
    }

    /// A series of a sealed batch had so many of them.
    mutating func note(_ count: Int, source: ByteView, host: ByteView, pattern: ByteView) {
        suppressed.add(count, source: source, host: host, pattern: pattern)
    }
}
