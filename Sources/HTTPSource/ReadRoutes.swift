internal import HTTPServing
internal import JSONBytes
internal import LogModel
internal import Pipeline
internal import Ports

extension Routes {
    /// `GET /v1/patterns?since=&level=&source=&q=&sort=&limit=`: what is stored, most frequent first. What is still in the
    /// open batch is not in it; `POST /flush` first to see that too.
    func patterns(_ request: HTTPRequest, _ responder: Responder) {
        var query = PatternQuery()
        for (name, value) in request.queryItems where !value.isEmpty {
            var value = value
            switch name {
            case "since":
                guard let since = Self.timestamp(&value) else {
                    return refuse("since takes a date as in RFC 3339, or seconds since 1970.", responder)
                }
                query.since = since
            case "level":
                guard let level = value.withUTF8({ Severity(word: $0) }) else {
                    return refuse("level takes trace, debug, info, notice, warn, error or fatal.", responder)
                }
                query.minimumSeverity = level
            case "source": query.source = value
            case "q": query.search = value
            case "sort":
                guard let order = PatternQuery.Order(rawValue: value) else {
                    return refuse("sort takes count, last_seen or first_seen.", responder)
                }
                query.order = order
            case "limit":
                guard let limit = Int(value), (1...1000).contains(limit) else {
                    return refuse("limit takes a number from 1 to 1000.", responder)
                }
                query.limit = limit
            default:
                return refuse("The parameters are since, level, source, q, sort and limit.", responder)
            }
        }
        reader.patterns(query) { result in
            self.scheduleBack {
                switch result {
                case .success(let rows): self.answer(responder, self.patternsAnswer(rows))
                case .failure(let error):
                    let detail = "The store does not answer: \(error). What came in meanwhile is in the spool."
                    self.answer(responder, .problem(.serviceUnavailable, detail, headers: [("Retry-After", "5")]))
                }
            }
        }
    }

    private func refuse(_ sentence: String, _ responder: Responder) {
        answer(responder, .problem(.badRequest, sentence))
    }

    private static func timestamp(_ text: inout String) -> Timestamp? {
        text.withUTF8 { text in
            // No hexadecimal numbers and no infinity, which `Double` would take.
            JSONText.double(text).flatMap { Timestamp(epoch: $0) } ?? Timestamp(rfc3339: text)
        }
    }

    private func patternsAnswer(_ rows: [PatternRow]) -> HTTPAnswer {
        var writer = JSONWriter(byteCountEstimate: 256 * rows.count + 64)
        writer.beginObject()
        writer.field("store", facts.storeName)
        writer.key("patterns")
        writer.beginArray()
        for row in rows {
            writer.beginObject()
            writer.field("id", StreamID(rawValue: UInt64(bitPattern: row.patternID)).text)
            writer.field("pattern", row.pattern)
            writer.field("level", row.level)
            writer.field("source", row.source)
            writer.field("count", row.count)
            writer.field("first_seen", row.firstSeen.rfc3339)
            writer.field("last_seen", row.lastSeen.rfc3339)
            writer.key("samples")
            writer.raw(Array(row.samples.utf8))
            writer.endObject()
        }
        writer.endArray()
        writer.endObject()
        writer.endLine()
        return HTTPAnswer(.ok, body: writer.bytes)
    }

    /// `GET /v1/tail?level=&source=`: records as they come in, as server-sent events.
    func tail(_ request: HTTPRequest, _ responder: Responder) {
        let items = request.queryItems
        var levelText = items["level"] ?? ""
        let minimum = levelText.withUTF8 { Severity(word: $0) }
        let source = items["source"].map { Array($0.utf8) }
        var stream: EventStream?
        let client = collector.tail.add { record in
            if let minimum, record.severity < minimum { return }
            if let source, !source.isEmpty, record.source != source { return }
            stream?.send(Self.event(record))
        }
        guard let client else {
            let detail = "\(Limits.tailClientCountMax) clients watch the log stream already."
            return answer(responder, .problem(.serviceUnavailable, detail, headers: [("Retry-After", "5")]))
        }
        stream = responder.beginStream()
        guard let stream else { return collector.tail.remove(client) }
        figures.count(.ok)
        let isOpen = LoopConfined(OpenMark())
        stream.onEnd = { [collector] in
            isOpen.value.isOpen = false
            collector.tail.remove(client)
        }
        keepAlive(LoopConfined(stream), isOpen)
    }

    private func keepAlive(_ stream: LoopConfined<EventStream>, _ mark: LoopConfined<OpenMark>) {
        guard mark.value.isOpen else { return }
        stream.value.keepAlive()
        scheduler.schedule(at: scheduler.now.advanced(by: .seconds(15))) { self.keepAlive(stream, mark) }
    }

    private static func event(_ record: TailRecord) -> [UInt8] {
        var writer = JSONWriter(byteCountEstimate: record.message.count + 128)
        writer.beginObject()
        writer.field("ts", record.timestamp.rfc3339)
        writer.field("level", "\(record.severity.name)")
        writer.key("source")
        record.source.withUnsafeBufferPointer { writer.string(bytes: $0) }
        writer.key("host")
        record.host.withUnsafeBufferPointer { writer.string(bytes: $0) }
        writer.key("message")
        record.message.withUnsafeBufferPointer { writer.string(bytes: $0) }
        writer.endObject()
        return writer.bytes
    }
}

private final class OpenMark {
    var isOpen = true
}
