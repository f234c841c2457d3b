internal import HTTPServing
internal import HTTPWire
internal import JSONBytes
internal import LogModel

// What the service says of itself.
extension Routes {
    /// `GET /`: the routes, for a person who opens the address in a browser.
    func indexPage() -> HTTPAnswer {
        var writer = JSONWriter(byteCountEstimate: 2048)
        writer.beginObject()
        writer.field("service", "logboom")
        writer.field("version", logboomVersion)
        writer.key("hint")
        writer.string(
            static:
                "Send a log: POST {\"message\":\"hello\",\"level\":\"info\",\"source\":\"me\"} to /ingest. See what came of it: /v1/patterns, after POST /flush."
        )
        writer.field("document", "/openapi.json")
        writer.key("routes")
        writer.beginArray()
        for row in RouteTable.rows + RouteTable.patterns {
            writer.beginObject()
            writer.key("path")
            writer.string(static: row.path)
            writer.key("methods")
            writer.beginArray()
            for method in row.route.methods { writer.string(static: method.name) }
            writer.endArray()
            writer.key("what")
            writer.string(static: row.what)
            writer.endObject()
        }
        writer.endArray()
        writer.endObject()
        writer.endLine()
        return HTTPAnswer(.ok, body: writer.bytes)
    }

    /// `GET /openapi.json`: the document beside this file, embedded in the program. Its pages are read from there when
    /// somebody asks for it first. A client that has it already (RFC 9110, 13.1.2) gets 304.
    func document(_ request: HTTPRequest) -> HTTPAnswer {
        let document = PackageResources.openapi_json
        let tag = "\"\(StreamID(rawValue: document.withUnsafeBufferPointer { XXH64.hash($0) }).text)\""
        let headers = [("ETag", tag), ("Cache-Control", "no-cache")]
        let known = request.head.header(named: "if-none-match").map { String($0) } ?? ""
        if known == "*" || known.split(separator: ",").contains(where: { Self.tag($0) == tag }) {
            return HTTPAnswer(.notModified, headers: headers, body: [])
        }
        return HTTPAnswer(.ok, headers: headers, body: document)
    }

    /// Without blanks, and without the mark of a weak tag, which makes no difference here.
    private static func tag(_ text: Substring) -> Substring {
        var text = text
        while text.first == " " || text.first == "\t" { text.removeFirst() }
        while text.last == " " || text.last == "\t" { text.removeLast() }
        return text.hasPrefix("W/") ? text.dropFirst(2) : text
    }
}
