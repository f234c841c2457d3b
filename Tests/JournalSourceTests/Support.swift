import Foundation
import JournalSource
import LogModel
import PipelineTesting
import Ports
import Synchronization

/// A reader and what it handed over, as text.
final class Reading: Sendable {
    struct Record: Equatable {
        var message: String
        var source: String
        var severity: Severity?
        var timestamp: Timestamp
        var attributes: [String: String]
    }

    let reader: JournalReader
    private let afterFirstChunk: @Sendable () -> Void
    private let chunks = Mutex<[SourceChunk]>([])

    /// - Parameter afterFirstChunk: called on the reader's thread before it is asked for more.
    init(
        _ directory: String,
        start: SourceStart = .first,
        through end: String? = nil,
        units: [String] = [],
        severityMin: Severity? = nil,
        lookback: Duration = .seconds(100 * 365 * 86_400),
        identity: OwnIdentity = OwnIdentity(processID: 99_999, invocationID: nil),
        afterFirstChunk: @escaping @Sendable () -> Void = {}
    ) {
        self.afterFirstChunk = afterFirstChunk
        reader = JournalReader(
            JournalConfiguration(
                directory: directory,
                units: units,
                severityMin: severityMin,
                lookback: lookback,
                identity: identity
            ),
            now: { Timestamp(nanoseconds: 1_790_000_000_000_000_000) }
        )
        reader.seek(start, through: end)
        more()
    }

    deinit { reader.close {} }

    private func more() {
        reader.read { [weak self] chunk in
            guard let self else { return }
            let isFirst = chunks.withLock {
                $0.append(chunk)
                return $0.count == 1
            }
            if isFirst { afterFirstChunk() }
            if !chunk.isLast { more() }
        }
    }

    var cursors: [String] { chunks.withLock { $0.compactMap(\.cursor) } }
    var chunkSizes: [Int] { chunks.withLock { $0.map(\.entryCount) } }
    var isLast: Bool { chunks.withLock { $0.last?.isLast ?? false } }

    var records: [Record] {
        var records: [Record] = []
        for chunk in chunks.withLock({ $0 }) {
            chunk.forEachRecord { record in
                records.append(
                    Record(
                        message: String(decoding: record.message, as: UTF8.self),
                        source: String(decoding: record.source, as: UTF8.self),
                        severity: record.severity,
                        timestamp: record.timestamp ?? Timestamp(nanoseconds: 0),
                        attributes: Dictionary(
                            uniqueKeysWithValues: record.attributes.map {
                                (String(decoding: $0.key, as: UTF8.self), String(decoding: $0.value, as: UTF8.self))
                            }
                        )
                    )
                )
            }
        }
        return records
    }

    var messages: [String] { records.map(\.message) }

    /// Waits until nothing is left to read, and returns what was read until then.
    @discardableResult
    func all(_ limit: Duration = .seconds(20)) throws -> [Record] {
        try Wait.until("the journal's end; status: \(reader.status)", limit) { reader.status.isAtEnd || isLast }
        return records
    }

    /// Waits for so many records.
    @discardableResult
    func wait(for count: Int, _ limit: Duration = .seconds(20)) throws -> [Record] {
        try Wait.until("\(count) records, of \(messages.count); status: \(reader.status)", limit) {
            records.count >= count
        }
        return records
    }
}

let firstMicrosecond: Int64 = 1_780_000_000_000_000
