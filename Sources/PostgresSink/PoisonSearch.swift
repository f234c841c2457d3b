internal import Delivery
internal import LogModel
internal import PostgresClient

/// Finds out which series and merges of a refused span PostgreSQL does not take, by halving: within the caller's
/// transaction each half is tried behind a savepoint, and what is taken stays, so that every further try stands on all that
/// would be stored beside it.
///
/// One refused series among n costs at most 2·log2(n) + 2 tries of two statements each; each further one as many again. A
/// pass ends at ``refusedCountMax`` or ``attemptCountMax``, once anything was found: the caller takes that out and sends the
/// rest, which is refused again and searched again.
struct PoisonSearch {
    /// So that a pass holds the session for some seconds at most: 64 of 2,000 series are found with some 800 tries.
    static let refusedCountMax = 64
    /// Twice what the first refused series of the largest batch can take is 60; the rest is for its neighbours.
    static let attemptCountMax = 512

    /// A series or a merge that was refused on its own.
    private struct Refused {
        /// Counted over all batches.
        var place: Int
        var isMerge: Bool
        var error: PostgresError
    }

    private enum Part {
        case series(Range<Int>)
        case merge(TemplateMerge)
    }

    private let batches: [Batch]
    private let node: NodeID
    private let connection: Connection
    /// Of each batch, by its own header.
    private let seriesCounts: [Int]
    private let merges: [[TemplateMerge]]
    private var refused: [Refused] = []
    private(set) var attemptCount = 0

    init(_ batches: [Batch], of node: NodeID, _ connection: Connection) throws(PatternWriter.Failure) {
        self.batches = batches
        self.node = node
        self.connection = connection
        var seriesCounts: [Int] = []
        var merges: [[TemplateMerge]] = []
        for batch in batches {
            var count = 0
            do throws(BatchFormatError) {
                try BatchReader.forEachSeries(in: batch) { _, _ in count += 1 }
                merges.append(try BatchReader.merges(in: batch))
            } catch {
                throw .format(error)
            }
            seriesCounts.append(count)
        }
        self.seriesCounts = seriesCounts
        self.merges = merges
    }

    /// The first refusal met; `nil` when everything was taken, and stands in the transaction.
    var firstError: PostgresError? { refused.first?.error }

    /// Tries everything. Throws what has nothing to do with the content: then nothing is known.
    mutating func run(_ patterns: inout PatternWriter) throws(PatternWriter.Failure) {
        // Constraints that wait for the end of the transaction would refuse all of it at once, and name nothing.
        try command("SET CONSTRAINTS ALL IMMEDIATE; SAVEPOINT part")
        // The whole was refused a moment ago.
        _ = try explore(0..<seriesCounts.reduce(0, +), isSuspect: true, &patterns)
        var place = 0
        for merge in merges.joined() {
            guard !isSpent else { break }
            let error = try attempt(.merge(merge), &patterns)
            if let error { refused.append(Refused(place: place, isMerge: true, error: error)) }
            place += 1
        }
    }

    /// Whether the pass has to end: there is something to report, and it has taken long enough.
    private var isSpent: Bool {
        refused.count >= Self.refusedCountMax || attemptCount >= Self.attemptCountMax && !refused.isEmpty
    }

    /// Whether anything in `places` was refused. `isSuspect`: something in it must be, so only its parts are tried.
    private mutating func explore(
        _ places: Range<Int>,
        isSuspect: Bool,
        _ patterns: inout PatternWriter
    ) throws(PatternWriter.Failure) -> Bool {
        guard !places.isEmpty, !isSpent else { return false }
        if !isSuspect || places.count == 1 {
            let error = try attempt(.series(places), &patterns)
            guard let error else { return false }
            if places.count == 1 {
                refused.append(Refused(place: places.lowerBound, isMerge: false, error: error))
                return true
            }
        }
        let middle = places.lowerBound + places.count / 2
        let leftIsBad = try explore(places.lowerBound..<middle, isSuspect: false, &patterns)
        let rightIsBad = try explore(middle..<places.upperBound, isSuspect: !leftIsBad, &patterns)
        return leftIsBad || rightIsBad
    }

    /// Writes behind the savepoint; the refusal, if there was one, with nothing of this try left.
    private mutating func attempt(
        _ part: Part,
        _ patterns: inout PatternWriter
    ) throws(PatternWriter.Failure) -> PostgresError? {
        attemptCount += 1
        do throws(PatternWriter.Failure) {
            switch part {
            case .series(let places): try patterns.write(places, of: batches, node, connection)
            case .merge(let merge): try patterns.write(merge, connection)
            }
        } catch {
            guard case .server(let refusal) = error, refusal.isPoison else { throw error }
            try command("ROLLBACK TO SAVEPOINT part")
            return refusal
        }
        try command("RELEASE SAVEPOINT part; SAVEPOINT part")
        return nil
    }

    private func command(_ script: String) throws(PatternWriter.Failure) {
        do throws(PostgresError) {
            _ = try connection.run(script, action: "search for what is refused")
        } catch {
            throw .server(error)
        }
    }

    /// What was refused, as batches of their own, one for each batch and reason.
    func refusedBatches() throws(PatternWriter.Failure) -> [RefusedBatch] {
        var result: [RefusedBatch] = []
        var firstSeries = 0
        var firstMerge = 0
        for (index, batch) in batches.enumerated() {
            let series = firstSeries..<firstSeries + seriesCounts[index]
            let merges = firstMerge..<firstMerge + merges[index].count
            firstSeries = series.upperBound
            firstMerge = merges.upperBound
            var reasons: [String] = []
            var parts: [BatchPart] = []
            for one in refused where (one.isMerge ? merges : series).contains(one.place) {
                let reason = one.error.description
                let part = reasons.firstIndex(of: reason) ?? reasons.count
                if part == reasons.count {
                    reasons.append(reason)
                    parts.append(BatchPart())
                }
                if one.isMerge {
                    parts[part].merges.append(one.place - merges.lowerBound)
                } else {
                    parts[part].series.append(one.place - series.lowerBound)
                }
            }
            guard !parts.isEmpty else { continue }
            do throws(BatchFormatError) {
                let taken = try batch.takingOut(parts)
                let refusedParts = zip(taken.parts, reasons).map { RefusedPart(batch: $0, reason: $1) }
                result.append(RefusedBatch(index: index, parts: refusedParts, rest: taken.rest))
            } catch {
                throw .format(error)
            }
        }
        return result
    }
}

extension PostgresError {
    /// The server is well, and it is this content that it does not take.
    var isPoison: Bool { state?.consequence == .poison && !endsConnection }
}
