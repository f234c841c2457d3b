package import LogModel

/// What to do when the spool nears its bound: make it coarser, step by step, and never drop a count.
///
/// First windows are merged, the shortest results first: a half minute, one minute, two … one day. Then samples go, then
/// attribute summaries; at last windows of any length are merged. Each step goes once over all that is spooled, oldest
/// first, in portions, so that appends in between wait for milliseconds.
package struct SpoolPolicy: Sendable {
    package enum Step: Sendable, Equatable {
        /// Merge neighbours as long as the result spans no more.
        case merge(upTo: Duration)
        case reduce(to: BatchDetail)
        /// Merge neighbours whatever they span.
        case mergeAll
    }

    /// A spooled batch, as far as the decision needs it.
    package struct Row: Sendable {
        package var byteCount: Int
        package var windowStart: Timestamp
        package var windowEnd: Timestamp

        package init(byteCount: Int, windowStart: Timestamp, windowEnd: Timestamp) {
            self.byteCount = byteCount
            self.windowStart = windowStart
            self.windowEnd = windowEnd
        }
    }

    /// Of the bound: work begins above the one and ends below the other. The quarter above is what outages' first minutes
    /// find free, and what a merge needs before it gives back.
    package static let beginShare = 0.75
    package static let endShare = 0.70
    /// Below this the outage is over: the next one begins with the mildest step. Until then a step goes on where it stopped,
    /// so that a batch is written once a step, not once for each that comes behind it.
    package static let restartShare = 0.4
    /// Batches merged at once: enough that thousands of single records become a window in a few goes, few enough that one go
    /// takes milliseconds.
    package static let runLengthMax = 64
    /// Bytes in the spool of the batches merged at once.
    package static let runByteCountMax = 2 << 20

    package static let steps: [Step] =
        [30, 60, 120, 240, 480, 960, 1920, 3600, 7200, 14_400, 28_800, 43_200, 86_400].map {
            Step.merge(upTo: .seconds($0))
        } + [.reduce(to: .withoutSamples), .reduce(to: .countsOnly), .mergeAll]

    private var index = 0

    package init() {}

    /// What is being done; `nil` when nothing is left that could be.
    package var step: Step? { index < Self.steps.count ? Self.steps[index] : nil }

    /// The step went over everything.
    package mutating func passEnded() { index += 1 }

    /// How many of `rows`, neighbours in one stream and oldest first, are to become one; 1 when the first is to stay alone.
    package static func runLength(of rows: some Collection<Row>, in step: Step) -> Int {
        guard let first = rows.first else { return 0 }
        var start = first.windowStart
        var end = first.windowEnd
        var byteCount = first.byteCount
        var length = 1
        for row in rows.dropFirst() {
            guard length < runLengthMax else { break }
            start = min(start, row.windowStart)
            end = max(end, row.windowEnd)
            byteCount += row.byteCount
            guard byteCount <= runByteCountMax else { break }
            switch step {
            case .merge(let longest):
                guard end.nanoseconds &- start.nanoseconds <= longest.nanoseconds, end >= start else { return length }
            case .mergeAll: break
            case .reduce: return 1
            }
            length += 1
        }
        return length
    }
}
