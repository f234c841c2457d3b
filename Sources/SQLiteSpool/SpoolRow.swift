internal import LogModel
internal import Ports
internal import SQLiteClient

/// One row of the table `spool` under the statement's cursor: views, valid until its next step.
struct SpoolRow {
    static let columns = """
        id, lane, stream, first_sequence, sequence, record_count, series_count, byte_count, window_start, window_end, \
        checksum, payload
        """
    static let columnCount: Int32 = 12

    var id: Int64
    var lane: ByteView
    var stream: StreamID
    var firstSequence: Int64
    var sequence: Int64
    var recordCount: Int64
    var seriesCount: Int64
    var checksum: UInt64
    var payload: ByteView

    init(_ row: Statement) {
        id = row.integer(0)
        lane = row.bytes(1)
        stream = StreamID(rawValue: UInt64(bitPattern: row.integer(2)))
        firstSequence = row.integer(3)
        sequence = row.integer(4)
        recordCount = row.integer(5)
        seriesCount = row.integer(6)
        checksum = UInt64(bitPattern: row.integer(10))
        payload = row.bytes(11)
    }

    /// What a row says of its batch beside the payload.
    struct Content {
        var lane: Lane
        var stream: StreamID
        var firstSequence: Int64
        var sequence: Int64
        var recordCount: Int
        var seriesCount: Int
        /// Microseconds since 1970.
        var windowStart: Int64
        var windowEnd: Int64
        var clockIsKnown: Bool

        init(_ batch: SpooledBatch, firstSequence: Int64? = nil) {
            lane = batch.lane
            stream = batch.stream
            self.firstSequence = firstSequence ?? batch.sequence
            sequence = batch.sequence
            recordCount = batch.batch.recordCount
            seriesCount = batch.batch.seriesCount
            // The spool keeps what it is given; a payload that no reader takes is for the sink to call poison.
            let header = batch.batch.payload.withUnsafeBufferPointer { try? BatchReader($0) }
            windowStart = header?.windowStart.microseconds ?? 0
            windowEnd = header?.windowEnd.microseconds ?? 0
            clockIsKnown = header?.clockIsKnown ?? true
        }
    }

    /// What was appended; `nil` when the payload cannot be unpacked. Allocates it.
    var batch: Batch? {
        SpoolPayload.unpacked(payload).map {
            Batch(payload: $0, recordCount: Int(recordCount), seriesCount: Int(seriesCount))
        }
    }

    /// Whether it is, bit for bit, what was appended. Linear in the payload.
    var isSound: Bool {
        firstSequence >= 1 && sequence >= firstSequence && recordCount >= 0 && seriesCount >= 0
            && checksum
                == Self.checksum(
                    lane: lane,
                    stream: stream,
                    firstSequence: firstSequence,
                    sequence: sequence,
                    recordCount: recordCount,
                    seriesCount: seriesCount,
                    payload: payload
                )
    }

    /// XXH64 of the payload, its seed the XXH64 of the name and the counts: a flipped bit in a sequence would be as bad as
    /// one in the payload.
    static func checksum(
        lane: ByteView,
        stream: StreamID,
        firstSequence: Int64,
        sequence: Int64,
        recordCount: Int64,
        seriesCount: Int64,
        payload: ByteView
    ) -> UInt64 {
        var name: [UInt8] = []
        name.reserveCapacity(48)
        let words = [
            stream.rawValue, UInt64(bitPattern: firstSequence), UInt64(bitPattern: sequence),
            UInt64(bitPattern: recordCount), UInt64(bitPattern: seriesCount),
        ]
        for word in words {
            withUnsafeBytes(of: word.littleEndian) { name.append(contentsOf: $0) }
        }
        name.append(contentsOf: lane)
        return XXH64.hash(payload, seed: name.withUnsafeBufferPointer { XXH64.hash($0) })
    }
}
