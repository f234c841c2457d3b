internal import LogModel
internal import Patterns
internal import Ports

/// Makes records of entries: joins the lines of a stack trace, and the parts of a container's long line, reads Node-RED's
/// prefix, and puts what comes of it into a chunk.
///
/// What it holds back leaves with ``flush(into:)``, which comes before a cursor is taken: a cursor never stands behind a line
/// that is in no record yet. For one thread.
struct EntryJoiner: ~Copyable {
    /// Containers whose long lines are put together at once; of one more the parts are records of their own.
    private static let partialCountMax = 16

    /// What a record has beside its text.
    private struct Header {
        var source: [UInt8]
        var host: [UInt8]
        var identifier: [UInt8]
        var severity: Severity?
        var timestamp: Timestamp
    }

    private var joiner = MultilineJoiner()
    private var held: [UInt64: Header] = [:]
    /// By speaker, the parts of a line so far.
    private var partials: [UInt64: (text: [UInt8], header: Header)] = [:]
    private var nextTag: UInt64 = 0

    /// Entries that went into the record of another.
    private(set) var joinedCount = 0

    /// Whether something is held back.
    var isHolding: Bool { !held.isEmpty || !partials.isEmpty }

    /// Takes one entry; what is complete goes into `chunk`. `uptime` is the entry's own: lines are told apart by when they
    /// were printed, not by when they are read.
    mutating func take(
        _ fields: borrowing EntryFields,
        at timestamp: Timestamp,
        uptime: MonotonicTime,
        into chunk: inout SourceChunk
    ) {
        guard fields.isOutput else {
            return fields.withView(.message) { Self.append($0, fields, timestamp, to: &chunk) }
        }
        let speaker = fields.speaker
        if !fields.isEmpty(.containerID), fields.isPartial || partials[speaker] != nil {
            return takePart(fields, speaker, timestamp, uptime, into: &chunk)
        }
        fields.withView(.message) { line in
            accept(line, speaker, fields, timestamp, uptime, into: &chunk)
        }
    }

    private mutating func accept(
        _ line: ByteView,
        _ speaker: UInt64,
        _ fields: borrowing EntryFields,
        _ timestamp: Timestamp,
        _ uptime: MonotonicTime,
        into chunk: inout SourceChunk
    ) {
        nextTag &+= 1
        let tag = nextTag
        var isPassing = false
        // Taken out for the call, during which the joiner has all of `self`.
        var held: [UInt64: Header] = [:]
        swap(&held, &self.held)
        defer { swap(&held, &self.held) }
        let action = joiner.accept(line, source: speaker, tag: tag, now: uptime) { joined in
            if joined.tag == tag {
                isPassing = true
            } else {
                Self.release(joined, from: &held, into: &chunk)
            }
        }
        if isPassing { Self.append(line, fields, timestamp, to: &chunk) }
        guard action == .hold else { return }
        if held[speaker] == nil {
            held[speaker] = Self.header(fields, timestamp)
        } else {
            joinedCount += 1
        }
    }

    /// A part of a line that is longer than a container's engine passes on at once (16 KiB): Docker and Podman mark all parts
    /// but the last.
    private mutating func takePart(
        _ fields: borrowing EntryFields,
        _ speaker: UInt64,
        _ timestamp: Timestamp,
        _ uptime: MonotonicTime,
        into chunk: inout SourceChunk
    ) {
        if partials[speaker] == nil {
            guard partials.count < Self.partialCountMax else {
                return fields.withView(.message) { Self.append($0, fields, timestamp, to: &chunk) }
            }
            partials[speaker] = ([], Self.header(fields, timestamp))
        } else {
            joinedCount += 1
        }
        // What a message may have; the rest is cut off, as it would be of a line that came whole.
        let room = Limits.messageByteCountMax - (partials[speaker]?.text.count ?? 0)
        fields.withView(.message) { part in
            partials[speaker]?.text.append(contentsOf: ByteView(rebasing: part.prefix(max(0, room))))
        }
        guard !fields.isPartial, let line = partials.removeValue(forKey: speaker) else { return }
        line.text.withUnsafeBufferPointer { Self.append($0, line.header, to: &chunk) }
    }

    /// Everything that is held back goes into `chunk`.
    mutating func flush(into chunk: inout SourceChunk) {
        guard isHolding else { return }
        var held: [UInt64: Header] = [:]
        swap(&held, &self.held)
        joiner.expire(now: MonotonicTime(nanoseconds: .max)) { Self.release($0, from: &held, into: &chunk) }
        for line in partials.values {
            line.text.withUnsafeBufferPointer { Self.append($0, line.header, to: &chunk) }
        }
        partials.removeAll(keepingCapacity: true)
    }

    private static func release(
        _ joined: MultilineJoiner.Joined,
        from held: inout [UInt64: Header],
        into chunk: inout SourceChunk
    ) {
        guard let header = held.removeValue(forKey: joined.source) else { return }
        append(joined.text, header, to: &chunk)
    }

    private static func header(_ fields: borrowing EntryFields, _ timestamp: Timestamp) -> Header {
        let source = fields.source
        return Header(
            source: fields.withView(source) { Array(EntryFields.withoutSuffix($0)) },
            host: fields.copy(.host),
            identifier: source == .identifier ? [] : fields.copy(.identifier),
            severity: fields.severity,
            timestamp: timestamp
        )
    }

    private static func append(_ text: ByteView, _ header: Header, to chunk: inout SourceChunk) {
        header.source.withUnsafeBufferPointer { source in
            header.host.withUnsafeBufferPointer { host in
                header.identifier.withUnsafeBufferPointer { identifier in
                    append(text, source, host, identifier, header.severity, header.timestamp, to: &chunk)
                }
            }
        }
    }

    private static func append(
        _ text: ByteView,
        _ fields: borrowing EntryFields,
        _ timestamp: Timestamp,
        to chunk: inout SourceChunk
    ) {
        let source = fields.source
        fields.withViews { view in
            append(
                text,
                EntryFields.withoutSuffix(view(source)),
                view(.host),
                source == .identifier ? ByteView(start: nil, count: 0) : view(.identifier),
                fields.severity,
                timestamp,
                to: &chunk
            )
        }
    }

    private static let identifierKey: StaticString = "identifier"
    private static let nodeKey: StaticString = "node"

    private static func append(
        _ text: ByteView,
        _ source: ByteView,
        _ host: ByteView,
        _ identifier: ByteView,
        _ severity: Severity?,
        _ timestamp: Timestamp,
        to chunk: inout SourceChunk
    ) {
        func view(_ key: StaticString) -> ByteView {
            ByteView(start: key.utf8Start, count: key.utf8CodeUnitCount)
        }
        var record = LogRecord(message: text)
        record.source = source
        record.host = host
        record.severity = severity
        var attributes = InlineArray<2, AttributeView>(repeating: AttributeView(key: text, value: text))
        var count = 0
        if !identifier.isEmpty, !identifier.elementsEqual(source) {
            attributes[count] = AttributeView(key: view(identifierKey), value: identifier)
            count += 1
        }
        if let line = NodeREDLine(text) {
            record.message = line.text
            record.severity = line.severity
            if !line.node.isEmpty {
                attributes[count] = AttributeView(key: view(nodeKey), value: line.node)
                count += 1
            }
        }
        attributes.span.extracting(first: count).withUnsafeBufferPointer { attributes in
            record.attributes = attributes
            chunk.append(record, at: timestamp)
        }
    }
}
