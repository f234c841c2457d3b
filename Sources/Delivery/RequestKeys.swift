package import LogModel

/// The `Idempotency-Key`s of the last minutes: which requests were taken in, so that one sent again counts once
/// (draft-ietf-httpapi-idempotency-key-header).
///
/// Keeps a hash of each key and of its body, never text. Bounded in number and in time; the oldest go first. This is the memory of
/// one process. Beyond it the key is the name of the batch at spool and sinks (``stream(of:for:)``), which take each name once.
package struct RequestKeys<Answer> {
    package enum Verdict {
        /// Not seen, or not within ``Limits/requestKeyLifetime``: take it in, and call ``answered(_:with:)`` or ``released(_:)``.
        case new
        /// The same request is being taken in: it will be answered.
        case underWay
        /// Taken in before, with this answer.
        case repeated(Answer)
        /// The key was used with another body.
        case misused
    }

    private struct Entry {
        var body: UInt64
        var at: MonotonicTime
        var answer: Answer?
    }

    private var entries: [StreamID: Entry] = [:]
    /// By age.
    private var order: [(key: StreamID, at: MonotonicTime)] = []
    private var first = 0
    /// Keys forgotten before their time because there were too many.
    package private(set) var evictionCount = 0

    package init() {}

    package var count: Int { entries.count }

    /// The stream under which the batch of a request with this key goes out, from any process of this node: both lanes' sinks
    /// apply it once. The node's random id is the seed, so that nobody outside can choose keys that meet.
    package static func stream(of key: ByteView, for node: NodeID) -> StreamID {
        let seed = node.bytes.withUnsafeBufferPointer { XXH64.hash($0) }
        return StreamID(rawValue: XXH64.hash(key, seed: seed))
    }

    /// Looks a key up and takes note of it when it is new. Amortised constant time.
    package mutating func look(_ key: StreamID, body: UInt64, now: MonotonicTime) -> Verdict {
        forget(now: now)
        if let entry = entries[key] {
            guard entry.body == body else { return .misused }
            return entry.answer.map { .repeated($0) } ?? .underWay
        }
        if entries.count >= Limits.requestKeyCountMax {
            evictionCount += 1
            forgetFirst()
        }
        entries[key] = Entry(body: body, at: now)
        order.append((key, now))
        return .new
    }

    /// The request was taken in and answered.
    package mutating func answered(_ key: StreamID, with answer: Answer) {
        entries[key]?.answer = answer
    }

    /// Nothing of the request was taken in: the key may be used again.
    package mutating func released(_ key: StreamID) {
        entries[key] = nil
    }

    private mutating func forget(now: MonotonicTime) {
        while first < order.count, now.since(order[first].at) >= Limits.requestKeyLifetime { forgetFirst() }
    }

    private mutating func forgetFirst() {
        guard first < order.count else { return }
        let oldest = order[first]
        // Released and taken again meanwhile: the younger note stays.
        if entries[oldest.key]?.at == oldest.at { entries[oldest.key] = nil }
        first += 1
        if first > 64, first * 2 > order.count {
            order.removeFirst(first)
            first = 0
        }
    }
}
