/// Which patterns of which sources were suppressed most, by name. Bounded: when it is full the least makes room for a greater
/// one, so what floods is there, and what was suppressed once may not be.
package struct SuppressedSeries: Sendable {
    package struct Entry: Sendable {
        package var source: [UInt8]
        package var host: [UInt8]
        package var pattern: [UInt8]
        /// Records counted without their details, since the start.
        package var count: Int
    }

    /// More floods at once than that are one trouble with one cause. A kilobyte and a half each at most.
    package static let countMax = 16

    /// In no order.
    package private(set) var entries: [Entry] = []

    package init() {}

    package mutating func add(_ count: Int, source: ByteView, host: ByteView, pattern: ByteView) {
        let known = entries.firstIndex {
            $0.pattern.elementsEqual(pattern) && $0.source.elementsEqual(source) && $0.host.elementsEqual(host)
        }
        if let known {
            entries[known].count += count
            return
        }
        let entry = Entry(source: Array(source), host: Array(host), pattern: Array(pattern), count: count)
        if entries.count < Self.countMax {
            entries.append(entry)
        } else if let least = entries.indices.min(by: { entries[$0].count < entries[$1].count }),
            entries[least].count < count
        {
            entries[least] = entry
        }
    }
}
