internal import JSONBytes
package import LogModel

extension SourcePosition {
    /// Bytes of its text at most: eight stretches with two cursors each, with room to spare. A longer one is not read.
    package static let textByteCountMax = 16 * 1024

    /// As JSON, for the spool, PostgreSQL and the runtime directory: docs/formats/delivery.md.
    package var text: [UInt8] {
        var writer = JSONWriter(byteCountEstimate: 512)
        writer.beginObject()
        writer.key("newest")
        writer.integer(Int(stretches.last?.seal ?? 0))
        writer.key("own")
        writer.integer(Int(own))
        writer.key("next")
        writer.string(nextName.text)
        writer.key("final")
        writer.bool(isFinal)
        writer.key("stretches")
        writer.beginArray()
        for stretch in stretches {
            writer.beginObject()
            writer.key("seal")
            writer.integer(Int(stretch.seal))
            writer.key("name")
            writer.string(stretch.name.text)
            if let from = stretch.from {
                writer.key("from")
                writer.string(from)
            }
            writer.key("through")
            writer.string(stretch.through)
            writer.key("stored")
            writer.bool(stretch.isStored)
            writer.key("forwarded")
            writer.bool(stretch.isForwarded)
            writer.endObject()
        }
        writer.endArray()
        writer.endObject()
        return writer.bytes
    }

    /// From what ``text`` wrote; `nil` when it is not that: damaged, or of a later version.
    package init?(text: [UInt8]) {
        guard text.count <= Self.textByteCountMax, let json = try? JSONValue.parse(text, nodeCountMax: 1000),
            let own = json["own"]?.integer, let next = json["next"]?.string.flatMap(Self.name),
            let array = json["stretches"]?.array, !array.isEmpty
        else { return nil }
        var stretches: [SourceStretch] = []
        for item in array {
            guard let seal = item["seal"]?.integer, seal > stretches.last?.seal ?? 0, seal < 1 << 60,
                let name = item["name"]?.string.flatMap(Self.name), let through = item["through"]?.string
            else { return nil }
            var stretch = SourceStretch(
                seal: Int64(seal),
                name: name,
                from: item["from"]?.string,
                through: through
            )
            stretch.isStored = item["stored"] == .bool(true)
            stretch.isForwarded = item["forwarded"] == .bool(true)
            stretches.append(stretch)
        }
        self.init(own: Int64(own), stretches: stretches, nextName: next)
        isFinal = json["final"] == .bool(true)
    }

    private static func name(_ text: String) -> StreamID? {
        text.utf8.count == 16 ? UInt64(text, radix: 16).map { StreamID(rawValue: $0) } : nil
    }
}
