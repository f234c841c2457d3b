internal import JSONBytes
internal import LogModel

/// `POST /loki/api/v1/push` of Grafana Loki, in JSON: what Fluent Bit's `loki` output, pino-loki, winston-loki and Alloy or
/// Promtail through a JSON client send (grafana.com/docs/loki, "HTTP API", "Ingest logs").
///
///     {"streams":[{"stream":{"job":"x"},"values":[["<nanoseconds>","<line>",{"trace_id":"…"}]]}]}
///
/// Each entry is a record. Labels and structured metadata become fields where ``labels`` says so, and attributes otherwise.
/// As Loki does: all or nothing when the form is wrong (400 and a line of text, which no client repeats), 204 without a body
/// when taken. Entries without text are left out, like blank lines. Protocol buffers with Snappy, Loki's other form, are
/// answered 415.
enum LokiPush: RecordProtocol {
    static var tenantHeader: StaticString? { "x-scope-orgid" }

    /// Label names with a meaning, the best known first within a field; Promtail's, Alloy's, Docker's and Fluent Bit's.
    private static let labels: [(name: StaticString, field: RecordField)] = [
        ("service_name", .source), ("service", .source), ("app", .source), ("application", .source),
        ("container_name", .source), ("container", .source), ("syslog_identifier", .source), ("unit", .source),
        ("systemd_unit", .source), ("job", .source),
        ("level", .severity), ("severity", .severity), ("severity_text", .severity), ("detected_level", .severity),
        ("host", .host), ("hostname", .host), ("nodename", .host), ("node_name", .host), ("node", .host),
        ("instance", .host),
        ("dashboard", .dashboard),
    ]

    static func read(
        _ reading: consuming BodyReading,
        _ records: inout JSONRecordDecoder,
        contentType: ByteView?,
        rules: RecordRules,
        accept: BodyReading.Accept
    ) -> BodyReading.Outcome {
        if let contentType, MediaType.matches(contentType, "application/x-protobuf") {
            var foreign = MalformedBody(
                offset: 0,
                reason: "protocol buffers are not spoken here; have the client send JSON"
            )
            foreign.isForeign = true
            return .failure(foreign)
        }
        do throws(JSONSyntaxError) {
            let streams = try streams(of: reading.body)
            try walk(streams, in: reading.body) { _, _ in }
            try walk(streams, in: reading.body) { labels, entry in
                guard !JSONRecordDecoder.isBlank(entry.line.bytes) else { return }
                records.begin()
                records.keep(.message, 0, key: key("line"), value: entry.line)
                records.keep(.timestamp, 0, key: key("timestamp"), value: entry.timestamp)
                sort(labels, into: &records)
                if let metadata = entry.metadata { sort(metadata, into: &records) }
                reading.hand(records.finish(rules), records, accept)
            }
        } catch {
            return .failure(MalformedBody(offset: error.offset, reason: error.reason.description))
        }
        return .success(reading.summary)
    }

    static func answer(_ outcome: IntakeOutcome) -> IntakeAnswer? {
        switch outcome {
        case .malformed(let malformed):
            let text = "\(malformed.reason), at byte \(malformed.offset)\n"
            return IntakeAnswer(
                status: malformed.isForeign ? 415 : 400,
                contentType: "text/plain; charset=utf-8",
                body: Array(text.utf8)
            )
        case .taken:
            // Overdue too: the records are counted, and these clients repeat what is answered 5xx, which would count them
            // twice.
            return IntakeAnswer(status: 204, contentType: "", body: [])
        }
    }

    // MARK: Form

    private struct Entry {
        var timestamp: JSONItem
        var line: JSONItem
        /// An object of texts.
        var metadata: JSONItem?
    }

    /// The array `streams`, the document around it checked to its end.
    private static func streams(of body: ByteView) throws(JSONSyntaxError) -> JSONItem {
        var cursor = JSONCursor(body)
        var streams: JSONItem?
        try cursor.enterObject()
        while let key = try cursor.nextKey() {
            let value = try cursor.value()
            if isName(key, "streams") { streams = value }
        }
        try cursor.finish()
        guard let streams else { throw JSONSyntaxError(offset: cursor.offset, reason: "streams is missing") }
        return streams
    }

    /// Visits every entry with the labels of its stream, and throws where the form is wrong: so once with a visit that does
    /// nothing, and then for good. Offsets are from the body's start.
    private static func walk(
        _ streams: JSONItem,
        in body: ByteView,
        _ visit: (_ labels: JSONItem?, _ entry: Entry) -> Void
    ) throws(JSONSyntaxError) {
        try elements(of: streams, in: body, "streams must be an array") { stream throws(JSONSyntaxError) in
            var labels: JSONItem?
            var values: JSONItem?
            try members(of: stream, in: body, "a stream must be an object") { key, value throws(JSONSyntaxError) in
                if isName(key, "stream") {
                    labels = value
                    try texts(of: value, in: body, "labels must be an object of texts")
                } else if isName(key, "values") {
                    values = value
                }
            }
            guard let values else { throw problem(stream, in: body, "values is missing") }
            try elements(of: values, in: body, "values must be an array") { value throws(JSONSyntaxError) in
                visit(labels, try entry(value, in: body))
            }
        }
    }

    private static func entry(_ value: JSONItem, in body: ByteView) throws(JSONSyntaxError) -> Entry {
        var timestamp: JSONItem?
        var line: JSONItem?
        var metadata: JSONItem?
        var count = 0
        try elements(of: value, in: body, "an entry must be an array") { item throws(JSONSyntaxError) in
            switch count {
            case 0:
                let isDigits =
                    !item.bytes.isEmpty && item.bytes.count <= 19 && item.bytes.allSatisfy { $0 &- 0x30 < 10 }
                guard item.kind == .string, isDigits else {
                    throw problem(item, in: body, "a timestamp must be a text of nanoseconds")
                }
                timestamp = item
            case 1:
                guard item.kind == .string else { throw problem(item, in: body, "a line must be a text") }
                line = item
            case 2:
                try texts(of: item, in: body, "structured metadata must be an object of texts")
                metadata = item
            default: break
            }
            count += 1
        }
        guard let timestamp, let line else { throw problem(value, in: body, "an entry needs a timestamp and a line") }
        return Entry(timestamp: timestamp, line: line, metadata: metadata)
    }

    private static func texts(
        of object: JSONItem,
        in body: ByteView,
        _ reason: StaticString
    ) throws(JSONSyntaxError) {
        try members(of: object, in: body, reason) { _, value throws(JSONSyntaxError) in
            guard value.kind == .string else { throw problem(value, in: body, reason) }
        }
    }

    private static func elements(
        of array: JSONItem,
        in body: ByteView,
        _ reason: StaticString,
        _ visit: (JSONItem) throws(JSONSyntaxError) -> Void
    ) throws(JSONSyntaxError) {
        guard array.kind == .array else { throw problem(array, in: body, reason) }
        var cursor = JSONCursor(array.bytes)
        try cursor.enterArray()
        while try cursor.nextElement() { try visit(try cursor.value()) }
    }

    private static func members(
        of object: JSONItem,
        in body: ByteView,
        _ reason: StaticString,
        _ visit: (_ key: JSONItem, _ value: JSONItem) throws(JSONSyntaxError) -> Void
    ) throws(JSONSyntaxError) {
        guard object.kind == .object else { throw problem(object, in: body, reason) }
        var cursor = JSONCursor(object.bytes)
        try cursor.enterObject()
        while let key = try cursor.nextKey() { try visit(key, try cursor.value()) }
    }

    private static func problem(_ item: JSONItem, in body: ByteView, _ reason: StaticString) -> JSONSyntaxError {
        guard let start = body.baseAddress, let place = item.bytes.baseAddress else {
            return JSONSyntaxError(offset: 0, reason: reason)
        }
        return JSONSyntaxError(offset: place - start, reason: reason)
    }

    // MARK: Labels

    private static func sort(_ members: JSONItem?, into records: inout JSONRecordDecoder) {
        guard let members else { return }
        var cursor = JSONCursor(members.bytes)
        do throws(JSONSyntaxError) {
            try cursor.enterObject()
            while let key = try cursor.nextKey() {
                let value = try cursor.value()
                if let rank = labels.firstIndex(where: { isName(key, $0.name) }) {
                    records.keep(labels[rank].field, UInt8(rank), key: key, value: value)
                } else {
                    records.addAttribute(key: key, value: value)
                }
            }
        } catch {
            assertionFailure("checked labels are not JSON: \(error)")
        }
    }

    private static func key(_ name: StaticString) -> JSONItem {
        let bytes = ByteView(start: name.utf8Start, count: name.utf8CodeUnitCount)
        return JSONItem(kind: .string, hasEscapes: false, bytes: bytes)
    }

    /// Labels are in lower case by custom; Fluent Bit and Docker write some in others.
    private static func isName(_ key: JSONItem, _ name: StaticString) -> Bool {
        guard key.bytes.count == name.utf8CodeUnitCount else { return false }
        for index in 0..<key.bytes.count {
            let byte = key.bytes[index]
            let lower = byte &- 0x41 < 26 ? byte | 0x20 : byte
            if lower != name.utf8Start[index] { return false }
        }
        return true
    }
}
