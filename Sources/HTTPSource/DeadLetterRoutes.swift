internal import HTTPServing
internal import JSONBytes
internal import LogModel
internal import Pipeline
internal import Ports

// What no sink took, for a person: look, send again, remove.
extension Routes {
    /// Series of a dead letter shown at most: more than anybody reads, and some hundred KiB of answer.
    private static let seriesCountMax = 1000

    /// `GET /v1/dead-letters?after=&limit=`: oldest first.
    func deadLetters(_ request: HTTPRequest, _ responder: Responder) {
        var after: Int64 = 0
        var limit = 100
        for (name, value) in request.queryItems where !value.isEmpty {
            switch name {
            case "after":
                guard let id = Int64(value), id >= 0 else {
                    return answer(responder, .problem(.badRequest, "after takes the id of a dead letter."))
                }
                after = id
            case "limit":
                guard let count = Int(value), (1...1000).contains(count) else {
                    return answer(responder, .problem(.badRequest, "limit takes a number from 1 to 1000."))
                }
                limit = count
            default:
                return answer(responder, .problem(.badRequest, "The parameters are after and limit."))
            }
        }
        deadLetters.deadLetters(after: after, limit: limit) { result in
            self.scheduleBack {
                switch result {
                case .success(let letters): self.answer(responder, self.listAnswer(letters))
                case .failure(let error): self.fail(error, responder)
                }
            }
        }
    }

    private func listAnswer(_ letters: [DeadLetter]) -> HTTPAnswer {
        var writer = JSONWriter(byteCountEstimate: 300 * letters.count + 64)
        writer.beginObject()
        writer.field("total", facts.spoolFigures().deadLetterCount)
        writer.key("dead_letters")
        writer.beginArray()
        for letter in letters {
            writer.beginObject()
            write(letter, to: &writer)
            writer.endObject()
        }
        writer.endArray()
        writer.endObject()
        writer.endLine()
        return HTTPAnswer(.ok, body: writer.bytes)
    }

    private func write(_ letter: DeadLetter, to writer: inout JSONWriter) {
        writer.field("id", Int(letter.id))
        writer.field("time", letter.time.rfc3339)
        writer.field("lane", letter.lane)
        writer.field("records", letter.recordCount)
        writer.field("bytes", letter.byteCount)
        writer.field("reason", letter.reason)
        writer.field("stream", letter.stream.text)
        writer.field("sequence", Int(letter.sequence))
    }

    /// `GET /v1/dead-letters/ID`: with what is in it.
    func deadLetter(_ id: Int64, _ responder: Responder) {
        deadLetters.deadLetter(id) { result in
            self.scheduleBack {
                switch result {
                case .success(let letter?): self.answer(responder, self.contentAnswer(letter))
                case .success(nil): self.answer(responder, Self.noSuchLetter)
                case .failure(let error): self.fail(error, responder)
                }
            }
        }
    }

    private func contentAnswer(_ letter: DeadLetter) -> HTTPAnswer {
        var writer = JSONWriter(byteCountEstimate: 2 * letter.payload.count + 512)
        writer.beginObject()
        write(letter, to: &writer)
        let batch = Batch(payload: letter.payload, recordCount: letter.recordCount, seriesCount: 0)
        var seriesCount = 0
        var mergeCount = 0
        writer.key("patterns")
        writer.beginArray()
        var isReadable = true
        do throws(BatchFormatError) {
            mergeCount = try BatchReader.merges(in: batch).count
            try BatchReader.forEachSeries(in: batch) { _, series in
                seriesCount += 1
                if seriesCount <= Self.seriesCountMax { Self.write(series, to: &writer) }
            }
        } catch {
            // Damaged on disk: what could be read stands above.
            isReadable = false
        }
        writer.endArray()
        writer.field("pattern_count", seriesCount)
        writer.field("merges", mergeCount)
        writer.key("readable")
        writer.bool(isReadable)
        writer.endObject()
        writer.endLine()
        return HTTPAnswer(.ok, body: writer.bytes)
    }

    private static func write(_ series: SeriesView, to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field("id", StreamID(rawValue: series.templateID).text)
        writer.key("pattern")
        writer.string(bytes: series.template)
        writer.field("level", "\(series.severity.name)")
        writer.key("source")
        writer.string(bytes: series.source)
        writer.key("host")
        writer.string(bytes: series.host)
        writer.key("tenant")
        writer.string(bytes: series.tenant)
        writer.key("dashboard")
        writer.string(bytes: series.dashboard)
        writer.field("count", series.count)
        writer.field("first_seen", series.firstSeen.rfc3339)
        writer.field("last_seen", series.lastSeen.rfc3339)
        writer.key("samples")
        writer.beginArray()
        for sample in series.samples { writer.string(bytes: sample) }
        writer.endArray()
        writer.endObject()
    }

    /// `POST /v1/dead-letters/ID/replay`: back into the spool, and from there to the sink that refused it.
    func replay(deadLetter id: Int64, _ responder: Responder) {
        deadLetters.deadLetter(id) { result in
            self.scheduleBack {
                switch result {
                case .success(let letter?): self.replay(letter, responder)
                case .success(nil): self.answer(responder, Self.noSuchLetter)
                case .failure(let error): self.fail(error, responder)
                }
            }
        }
    }

    private func replay(_ letter: DeadLetter, _ responder: Responder) {
        guard let runner = collector.lanes.first(where: { $0.id.rawValue == letter.lane }) else {
            return answer(
                responder,
                .problem(.conflict, "The sink that refused it is not configured now, so nothing could take it.")
            )
        }
        runner.replay(deadLetter: letter.id) { result in
            switch result {
            case .success(.done(let recordCount, _)):
                self.answer(responder, self.changeAnswer("replayed", letter.id, recordCount))
            case .success(.unknown):
                self.answer(responder, Self.noSuchLetter)
            case .success(.unreadable):
                let detail =
                    "It is damaged, so nobody knows what would be counted. It can only be looked at and removed."
                self.answer(responder, .problem(.conflict, detail))
            case .failure(let error):
                self.fail(error, responder)
            }
        }
    }

    /// `DELETE /v1/dead-letters/ID`: gone for good.
    func dropDeadLetter(_ id: Int64, _ responder: Responder) {
        deadLetters.dropDeadLetter(id) { result in
            self.scheduleBack {
                switch result {
                case .success(let letter?):
                    self.answer(responder, self.changeAnswer("dropped", id, letter.recordCount))
                case .success(nil): self.answer(responder, Self.noSuchLetter)
                case .failure(let error): self.fail(error, responder)
                }
            }
        }
    }

    private func changeAnswer(_ what: StaticString, _ id: Int64, _ recordCount: Int) -> HTTPAnswer {
        var writer = JSONWriter(byteCountEstimate: 64)
        writer.beginObject()
        writer.field("id", Int(id))
        writer.key(what)
        writer.bool(true)
        writer.field("records", recordCount)
        writer.endObject()
        writer.endLine()
        return HTTPAnswer(.ok, body: writer.bytes)
    }

    private static var noSuchLetter: HTTPAnswer {
        .problem(.notFound, "There is no dead letter of this id; see GET /v1/dead-letters.")
    }

    private func fail(_ error: SinkError, _ responder: Responder) {
        let detail = "The state file does not take it now: \(error)."
        answer(responder, .problem(.serviceUnavailable, detail, headers: [("Retry-After", "5")]))
    }
}
