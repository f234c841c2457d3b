internal import LogModel

/// Which rows of the newest bucket the server has, with all the samples it keeps of them: of those a batch without
/// attributes need say no more than counts and dates, and a commit costs the server half.
///
/// A memory of what was sent, never the truth: a row that somebody deleted is made again, and has no samples then until
/// the next bucket. Owns about 40 bytes a series, at most ``seriesCountMax``; forgets everything when that is reached, when
/// a bucket begins, and when a session does.
struct KnownSeries {
    /// Twice the default number of patterns, which is more than are live within ten minutes.
    static let seriesCountMax = 16_384
    /// A row keeps so many samples (the upsert's `LIMIT`).
    static let sampleCountMax = 5

    private var bucket = Int64.min
    /// Samples sent of each series.
    private var sampleCounts: [UInt64: Int] = [:]
    /// What the statement under way will have told the server once it is committed.
    private var told: [(key: UInt64, sampleCount: Int)] = []
    private var keys: Set<UInt64> = []
    /// Whether every series of the statement is complete, none comes twice and none has a latency.
    private(set) var isBrief = true

    /// A statement is put together.
    mutating func begin() {
        told.removeAll(keepingCapacity: true)
        keys.removeAll(keepingCapacity: true)
        isBrief = true
    }

    /// Whether the server has all there is to say of `series` but its counts and dates.
    mutating func isComplete(_ series: SeriesView, bucket: Int64) -> Bool {
        if bucket > self.bucket {
            self.bucket = bucket
            sampleCounts.removeAll(keepingCapacity: true)
        }
        let key = Self.key(of: series, bucket: bucket)
        let isNew = keys.insert(key).inserted
        let isNewest = bucket == self.bucket
        let sampleCount = isNewest ? sampleCounts[key] : nil
        let isComplete =
            sampleCount.map { $0 >= Self.sampleCountMax || series.samples.isEmpty } ?? false
            && series.attributes.isEmpty
        if !isComplete, isNewest { told.append((key, series.samples.count)) }
        if !isComplete || !isNew || series.latency != nil { isBrief = false }
        return isComplete
    }

    /// The statement was committed.
    mutating func committed() {
        if sampleCounts.count + told.count > Self.seriesCountMax { sampleCounts.removeAll() }
        for (key, sampleCount) in told { sampleCounts[key, default: 0] += sampleCount }
        told.removeAll(keepingCapacity: true)
    }

    /// Another session may meet another database.
    mutating func forget() {
        sampleCounts.removeAll()
        told.removeAll()
    }

    /// A hash of the row's identity. Two series with one hash cost some samples, never a count.
    private static func key(of series: SeriesView, bucket: Int64) -> UInt64 {
        var key = series.templateID ^ UInt64(bitPattern: bucket) &* 0x9E37_79B9_7F4A_7C15
        key ^= UInt64(series.severity.rawValue) << 56
        for name in [series.source, series.host, series.tenant, series.dashboard] {
            key = XXH64.hash(PatternWriter.identity(name), seed: key)
        }
        return key
    }
}
