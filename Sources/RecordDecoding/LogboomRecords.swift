internal import JSONBytes
internal import LogModel

/// Our own protocol: an object, an array of objects or texts, `{"logs": […]}`, NDJSON, or plain text, at the paths of
/// docs/formats/http.md. Looks at the bytes first and at the content type only where they leave a choice, because senders are
/// careless with it (Node-RED sends none with a JSON text, `curl -d` a form's).
enum LogboomRecords: RecordProtocol {
    static func read(
        _ reading: consuming BodyReading,
        _ records: inout JSONRecordDecoder,
        contentType: ByteView?,
        rules: RecordRules,
        accept: BodyReading.Accept
    ) -> BodyReading.Outcome {
        let body = reading.body
        // A byte order mark is no JSON, but Windows tools write it.
        var start = body.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
        while start < body.count, BodyReading.isBlank(body[start]) { start += 1 }
        guard start < body.count else { return reading.malformed(0, "empty body") }

        let format = TextFormat(contentType)
        switch (body[start], format) {
        case (0x5B, .plain) where !beginsArray(body, start):
            return reading.plainText(from: start, &records, rules, accept)
        case (0x5B, _):
            return reading.array(reading.view(start, body.count), at: start, &records, rules, accept)
        case (0x7B, _):
            return reading.object(from: start, &records, format, rules, accept)
        case (_, .plain):
            return reading.plainText(from: start, &records, rules, accept)
        case (_, .lines):
            return reading.lines(from: start, &records, rules, accept)
        case (_, .unknown):
            return reading.malformed(start, "expected an object, an array or lines of JSON")
        }
    }

    /// Whether the bracket at `start` may open an array of records: `[2026-03-01 …] text` is a line of plain text.
    private static func beginsArray(_ body: ByteView, _ start: Int) -> Bool {
        guard let next = body[(start + 1)...].first(where: { !BodyReading.isBlank($0) }) else { return true }
        return next == 0x7B || next == 0x22 || next == 0x5D || next == 0x5B
    }
}

/// What a content type says about a body's form, as far as it matters.
enum TextFormat {
    case unknown, lines, plain

    init(_ contentType: ByteView?) {
        self = .unknown
        guard let contentType else { return }
        if MediaType.matches(contentType, "text/plain") {
            self = .plain
        } else if MediaType.matches(contentType, "application/x-ndjson")
            || MediaType.matches(contentType, "application/ndjson")
            || MediaType.matches(contentType, "application/jsonl")
            || MediaType.matches(contentType, "application/x-jsonlines")
        {
            self = .lines
        }
    }
}

enum MediaType {
    /// Without case, and only a whole media type (RFC 9110, 8.3.1): parameters may follow. `type` is in lower case.
    static func matches(_ value: ByteView, _ type: StaticString) -> Bool {
        let count = type.utf8CodeUnitCount
        guard value.count >= count else { return false }
        for index in 0..<count {
            let byte = value[index]
            let lower = byte &- 0x41 < 26 ? byte | 0x20 : byte
            if lower != type.utf8Start[index] { return false }
        }
        return value.count == count || value[count] == 0x3B || value[count] <= 0x20
    }
}
