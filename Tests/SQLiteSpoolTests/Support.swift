import Delivery
import Foundation
import LogModel
import PipelineTesting
import Ports
import SQLiteClient
import Synchronization
import Testing

@testable import SQLiteSpool

extension TemporaryDirectory {
    var database: String { file(SpoolFile.name) }

    var names: [String] { ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted() }
}

/// One pattern's delta, as a test states it.
struct Delta {
    var id: UInt64 = 1
    var template = "User <ID> logged in"
    var severity = Severity.info
    var source = "app"
    var host = "pi"
    var count = 1
    var first: Int64 = 0
    var last: Int64 = 0
    var latency: LatencySummary?
    var samples: [String] = []
    /// Bytes of one more sample, which no compressor makes smaller.
    var noiseByteCount = 0
    var attributes: [(key: String, values: [(String, Int)], other: Int)] = []
}

/// 2025-01-15T10:30:00Z.
let testTime = Timestamp(nanoseconds: 1_736_937_000 * 1_000_000_000)

/// Times of deltas are seconds after the window's start.
func makeBatch(
    _ deltas: [Delta],
    merges: [TemplateMerge] = [],
    start: Timestamp = testTime,
    clockIsKnown: Bool = true
) -> Batch {
    let recordCount = deltas.reduce(0) { $0 + $1.count }
    var writer = BatchWriter(
        windowStart: start,
        windowEnd: start.adding(seconds: 30),
        clockIsKnown: clockIsKnown,
        recordCount: recordCount,
        seriesCount: deltas.count,
        merges: merges,
        byteCountEstimate: 256
    )
    func view(_ text: String, _ body: (ByteView) -> Void) { Array(text.utf8).withUnsafeBufferPointer(body) }
    for delta in deltas {
        view(delta.template) { template in
            view(delta.source) { source in
                view(delta.host) { host in
                    writer.beginSeries(
                        templateID: delta.id,
                        severity: delta.severity,
                        template: template,
                        source: source,
                        host: host,
                        tenant: ByteView(start: nil, count: 0),
                        dashboard: ByteView(start: nil, count: 0),
                        count: delta.count,
                        firstSeen: start.adding(seconds: delta.first),
                        lastSeen: start.adding(seconds: delta.last),
                        latency: delta.latency
                    )
                }
            }
        }
        writer.append(UInt64(delta.samples.count + (delta.noiseByteCount > 0 ? 1 : 0)))
        for sample in delta.samples { view(sample) { writer.append($0) } }
        if delta.noiseByteCount > 0 {
            var generator = SeededGenerator(seed: UInt64(delta.noiseByteCount) ^ delta.id)
            let noise = (0..<delta.noiseByteCount).map { _ in UInt8.random(in: 0...255, using: &generator) }
            noise.withUnsafeBufferPointer { writer.append($0) }
        }
        writer.append(UInt64(delta.attributes.count))
        for attribute in delta.attributes {
            view(attribute.key) { key in
                writer.beginAttribute(
                    key: key,
                    otherCount: attribute.other,
                    distinctCount: attribute.values.count + attribute.other,
                    numbers: nil,
                    valueCount: attribute.values.count
                )
            }
            for (value, count) in attribute.values {
                view(value) { writer.append($0) }
                writer.append(UInt64(count))
            }
        }
    }
    return Batch(payload: writer.bytes, recordCount: recordCount, seriesCount: deltas.count)
}

/// A batch of one pattern, its payload of about `byteCount` bytes, in the spool too.
func makeBatch(count: Int = 1, byteCount: Int = 100) -> Batch {
    makeBatch([Delta(count: count, noiseByteCount: byteCount)])
}

func spooled(
    _ sequence: Int64,
    stream: UInt64 = 7,
    lane: Lane = .store,
    _ batch: Batch = makeBatch(),
    wasSent: Bool = false
) -> SpooledBatch {
    SpooledBatch(lane: lane, stream: StreamID(rawValue: stream), sequence: sequence, batch: batch, wasSent: wasSent)
}

extension Timestamp {
    func adding(seconds: Int64) -> Timestamp { Timestamp(nanoseconds: nanoseconds + seconds * 1_000_000_000) }
}

func openDatabase(_ directory: String, limit: Int = 64 << 20) -> SpoolDatabase {
    SpoolDatabase(SpoolConfiguration(directory: directory, spoolByteCountMax: limit, now: { testTime }))
}

/// What other programs see in the file.
func inspect(_ path: String, _ sql: String) throws -> [[String]] {
    let connection = try Connection(path: path, access: .readWrite)
    defer { connection.close() }
    var rows: [[String]] = []
    let columnCount = sql.prefix(while: { $0 != "\n" }).components(separatedBy: ",").count
    try connection.query(sql) { row in
        rows.append((0..<Int32(columnCount)).map { row.text($0) })
        return true
    }
    return rows
}

/// Changes the file behind the daemon's back.
func tamper(_ path: String, _ sql: String) throws {
    let connection = try Connection(path: path, access: .readWrite)
    defer { connection.close() }
    try connection.execute(sql)
}

/// Overwrites the headers of the pages in a part of the file, below whoever has it open.
func damagePages(of path: String, from start: Double, through end: Double) throws {
    let handle = try FileHandle(forUpdating: URL(fileURLWithPath: path))
    defer { try? handle.close() }
    let pageCount = Double(try handle.seekToEnd() / 4096)
    for page in UInt64(pageCount * start)..<UInt64(pageCount * end) {
        try handle.seek(toOffset: page * 4096)
        try handle.write(contentsOf: Data(repeating: 0xFF, count: 64))
    }
}

// The asynchronous faces, as tests like to write them.
extension SpoolDatabase {
    func append(_ batch: SpooledBatch, durable: Bool = false) async -> Result<Void, SinkError> {
        await withCheckedContinuation { waiting in append(batch, durable: durable) { waiting.resume(returning: $0) } }
    }

    func head(_ lane: Lane = .store, byteCountMax: Int = 1 << 20) async throws -> SpoolHead? {
        try await withCheckedContinuation { waiting in
            head(of: lane, byteCountMax: byteCountMax) { waiting.resume(returning: $0) }
        }.get()
    }

    func remove(_ lane: Lane = .store, stream: UInt64 = 7, through sequence: Int64) async throws {
        try await withCheckedContinuation { waiting in
            remove(lane: lane, stream: StreamID(rawValue: stream), through: sequence) { waiting.resume(returning: $0) }
        }.get()
    }

    func deadLetter(_ batch: SpooledBatch, reason: String) async throws {
        try await setAside([SetAsideBatch(batch, parts: [RefusedPart(batch: batch.batch, reason: reason)], rest: nil)])
    }

    func setAside(_ batches: [SetAsideBatch]) async throws {
        try await withCheckedContinuation { waiting in
            setAside(batches) { waiting.resume(returning: $0) }
        }.get()
    }

    @discardableResult
    func syncedUsage() async throws -> [Lane: SpoolUsage] {
        try await withCheckedContinuation { waiting in syncedUsage { waiting.resume(returning: $0) } }.get()
    }

    func retention(age: Duration, byteCountMax: Int = .max, now: Timestamp) async throws -> Int {
        try await withCheckedContinuation { waiting in
            applyRetention(age: age, byteCountMax: byteCountMax, now: now) { waiting.resume(returning: $0) }
        }.get()
    }

    func limitFile(pageCount: Int) async throws {
        try await withCheckedContinuation { waiting in
            limitFile(pageCount: pageCount) { waiting.resume(returning: $0) }
        }.get()
    }

    func look() async -> [Lane: SpoolUsage]? {
        await withCheckedContinuation { waiting in look { waiting.resume(returning: $0) } }
    }

    func close() async {
        await withCheckedContinuation { waiting in close { waiting.resume() } }
    }

    /// Everything in a lane, in the order of draining, removing it on the way.
    func drain(_ lane: Lane = .store, byteCountMax: Int = 1 << 20) async throws -> [(stream: UInt64, sequence: Int64)] {
        var names: [(stream: UInt64, sequence: Int64)] = []
        while let head = try await head(lane, byteCountMax: byteCountMax), let last = head.batches.last {
            names += head.batches.map { ($0.stream.rawValue, $0.sequence) }
            try await remove(lane, stream: head.stream.rawValue, through: last.sequence)
        }
        return names
    }
}

extension EmbeddedSink {
    func apply(_ stream: UInt64, _ previous: Int64, _ last: Int64, _ batches: [Batch]) async -> Result<
        SinkAnswer, SinkError
    > {
        await withCheckedContinuation { waiting in
            let span = BatchSpan(stream: StreamID(rawValue: stream), previous: previous, last: last)
            apply(span, batches, from: NodeID(random: Array(repeating: 1, count: 16))) { waiting.resume(returning: $0) }
        }
    }
}

extension EmbeddedReader {
    func patterns(_ query: PatternQuery = PatternQuery()) async throws -> [PatternRow] {
        try await withCheckedContinuation { waiting in patterns(query) { waiting.resume(returning: $0) } }.get()
    }

    func status() async throws -> StoreStatus {
        try await withCheckedContinuation { waiting in status { waiting.resume(returning: $0) } }.get()
    }
}

extension Result where Failure == SinkError {
    var failure: SinkError? {
        if case .failure(let error) = self { error } else { nil }
    }
}
