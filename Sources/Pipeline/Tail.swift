package import LogModel

/// One record as clients of the log stream see it; text repaired, the message cut to ``Limits/sampleByteCountMax``.
package struct TailRecord: Sendable {
    package var timestamp: Timestamp
    package var severity: Severity
    package var source: [UInt8]
    package var host: [UInt8]
    package var message: [UInt8]
}

/// Hands accepted records to whoever watches. Costs nothing while nobody does. Loop only.
package final class Tail {
    private var clients: [Int: (TailRecord) -> Void] = [:]
    private var nextClient = 0

    package init() {}

    package var isEmpty: Bool { clients.isEmpty }

    /// Adds a client and returns its number; `nil` when there are ``Limits/tailClientCountMax`` already.
    package func add(_ client: @escaping (TailRecord) -> Void) -> Int? {
        guard clients.count < Limits.tailClientCountMax else { return nil }
        nextClient += 1
        clients[nextClient] = client
        return nextClient
    }

    package func remove(_ client: Int) {
        clients[client] = nil
    }

    func publish(_ record: LogRecord, severity: Severity, at timestamp: Timestamp) {
        var entry = TailRecord(timestamp: timestamp, severity: severity, source: [], host: [], message: [])
        UTF8Repair.append(record.source, to: &entry.source, byteCountMax: Limits.nameByteCountMax)
        UTF8Repair.append(record.host, to: &entry.host, byteCountMax: Limits.nameByteCountMax)
        UTF8Repair.append(record.message, to: &entry.message, byteCountMax: Limits.sampleByteCountMax)
        for client in clients.values { client(entry) }
    }
}
