import Foundation
import PipelineTesting
import Testing

/// What a sender reads, from a real daemon over a real socket.
@Suite struct IngestAnswerTests {
    private static let paths = ["/ingest", "/ingest/batch", "/logs/ingest"]

    private func counts(_ answer: HTTPTestAnswer) -> [Int?] {
        [answer.integer("accepted"), answer.integer("matched"), answer.integer("failed"), answer.count("errors")]
    }

    @Test func `an object, an array, logs and lines are taken at every path and counted alike`() throws {
        try withDaemon { daemon in
            let object = #"{"message":"pump 7 started","org":"acme","level":"INFO"}"#
            let forms = [
                (1, "application/json", object), (3, "application/json", "[\(object),\(object),\(object)]"),
                (2, "application/json", #"{"logs":[\#(object),\#(object)]}"#),
                (2, "application/x-ndjson", "\(object)\n\(object)\n"), (2, "text/plain", "\(object)\n\(object)"),
                // curl -d says that it sends a form.
                (1, "application/x-www-form-urlencoded", object),
            ]
            var total = 0
            for path in Self.paths {
                for (count, type, body) in forms {
                    let answer = try daemon.post(path, body, type: type)
                    #expect(answer.status == 202, "\(path) \(type): \(answer.text)")
                    let matched = total == 0 ? count - 1 : count
                    #expect(counts(answer) == [count, matched, 0, 0], "\(path) \(type): \(answer.text)")
                    #expect(answer.headers["content-type"]?.hasPrefix("application/json") == true)
                    total += count
                }
            }
            let patterns = try daemon.storedPatterns()
            #expect(patterns.map(\.count) == [total])
            #expect(try daemon.get("/stats").integer("records.accepted") == total)
        }
    }

    @Test func `a bad record is named by its place and costs its neighbours nothing`() throws {
        try withDaemon { daemon in
            let bodies = [
                (#"[{"message":"a one"},{"level":"INFO"},17,{"message":"a two"}]"#, "application/json"),
                (#"{"logs":[{"message":"a one"},{"level":"INFO"},17,{"message":"a two"}]}"#, "application/json"),
                (
                    "{\"message\":\"a one\"}\n{\"level\":\"INFO\"}\n{broken\n{\"message\":\"a two\"}\n",
                    "application/x-ndjson"
                ),
            ]
            for (body, type) in bodies {
                let answer = try daemon.post("/ingest", body, type: type)
                #expect(answer.status == 202)
                #expect(answer.integer("accepted") == 2)
                #expect(answer.integer("failed") == 2)
                #expect(answer.integer("errors.0.index") == 1, "\(answer.text)")
                #expect(answer.integer("errors.1.index") == 2, "\(answer.text)")
                #expect(answer.string("errors.0.reason")?.isEmpty == false)
            }
            let stats = try daemon.get("/stats")
            #expect(stats.integer("received") == 12)
            #expect(stats.integer("failed") == 6)
            #expect(try daemon.storedPatterns().reduce(0) { $0 + $1.count } == 6)
        }
    }

    @Test func `what holds nothing usable is answered 422`() throws {
        try withDaemon { daemon in
            for body in [#"{"level":"INFO"}"#, #"[{"level":"INFO"},1,null]"#, #"{"logs":[{}]}"#] {
                let answer = try daemon.post("/ingest", body)
                #expect(answer.status == 422, "\(body): \(answer.text)")
                #expect(answer.integer("accepted") == 0)
                #expect(try #require(answer.integer("failed")) > 0)
                #expect(answer.integer("errors.0.index") == 0)
            }
        }
    }

    @Test(arguments: [
        (#"{"message":"a"#, 13), (#"[{"message":"a"},]"#, 17), (#"{"message" "a"}"#, 11), ("", 0), ("hello", 0),
        (#"{"message":"a"} x"#, 16),
    ])
    func `broken JSON is answered 400 with the place of the error`(_ body: String, _ offset: Int) throws {
        try withDaemon { daemon in
            let answer = try daemon.post("/ingest", body)
            #expect(answer.status == 400, "\(answer.text)")
            #expect(answer.integer("offset") == offset, "\(body): \(answer.text)")
            #expect(answer.string("detail")?.contains("byte \(offset)") == true, "\(answer.text)")
            #expect(try daemon.get("/stats").integer("records.accepted") == 0)
        }
    }

    @Test func `a body that is too large is answered 413, with a length and in chunks`() throws {
        try withDaemon(["HTTP_BODY_LIMIT": "4K"]) { daemon in
            let large = [UInt8](repeating: UInt8(ascii: " "), count: 5000)
            let whole = try daemon.request("POST", "/ingest", large)
            #expect(whole.status == 413)
            #expect(whole.isJSON)
            let connection = try HTTPTestConnection(daemon.address)
            try connection.write(
                Array("POST /ingest HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1388\r\n".utf8)
            )
            try connection.write(large + Array("\r\n0\r\n\r\n".utf8))
            #expect(try connection.readAnswer().status == 413)
            let fitting = Array(#"{"message":"\#(String(repeating: "a", count: 4000))"}"#.utf8)
            #expect(try daemon.request("POST", "/ingest", fitting).status == 202)
        }
    }

    @Test func `a wrong method is answered 405 with what is allowed, an unknown path 404, both as JSON`() throws {
        try withDaemon { daemon in
            for path in Self.paths + ["/flush"] {
                for method in ["GET", "PUT", "DELETE"] {
                    let answer = try daemon.request(method, path)
                    #expect(answer.status == 405)
                    #expect(answer.headers["allow"] == "POST")
                    #expect(answer.isJSON)
                }
            }
            for path in [
                "/health", "/health/db", "/livez", "/readyz", "/stats", "/metrics", "/v1/patterns", "/v1/tail",
            ] {
                let answer = try daemon.post(path, "{}")
                #expect(answer.status == 405, "\(path)")
                // The log stream has no end, so no head to show alone.
                #expect(answer.headers["allow"] == (path == "/v1/tail" ? "GET" : "GET, HEAD"))
                #expect(answer.isJSON)
            }
            for path in ["//", "/ingest/", "/Ingest", "/v2/logs", "/%00", "/v1/dead-letters/{id}"] {
                let answer = try daemon.get(path)
                #expect(answer.status == 404, "\(path)")
                #expect(answer.isJSON)
            }
        }
    }

    @Test func `every page a person or a monitor asks for answers, also to HEAD`() throws {
        try withDaemon { daemon in
            for path in ["/health", "/health/db", "/livez", "/readyz", "/stats", "/v1/patterns"] {
                let answer = try daemon.get(path)
                #expect(answer.status == 200, "\(path): \(answer.text)")
                #expect(answer.isJSON, "\(path): \(answer.text)")
                let head = try daemon.request("HEAD", path)
                #expect(head.status == 200)
                #expect(head.body.isEmpty)
            }
        }
    }

    @Test(arguments: Store.allCases)
    func `the three examples of the documents come out literally`(_ store: Store) throws {
        try withDaemon(on: store) { daemon in
            for message in ["User 123 logged in", "Query took 0.05s", "Error: File not found: /path/file.txt"] {
                try daemon.postRecords(2, message: message)
            }
            #expect(
                Set(try daemon.storedPatterns().map(\.pattern)) == [
                    "User <ID> logged in", "Query took <TIME>s", "Error: File not found: <PATH>",
                ]
            )
        }
    }

    @Test func `with placeholders in braces the examples read as printed`() throws {
        try withDaemon(["PLACEHOLDER_STYLE": "braces"]) { daemon in
            for message in ["User 123 logged in", "Query took 0.05s", "Error: File not found: /path/file.txt"] {
                try daemon.postRecords(1, message: message)
            }
            #expect(
                Set(try daemon.storedPatterns().map(\.pattern)) == [
                    "User {ID} logged in", "Query took {TIME}s", "Error: File not found: {PATH}",
                ]
            )
        }
    }

    @Test(arguments: Store.allCases)
    func `invalid UTF-8 and NUL break no batch`(_ store: Store) throws {
        try withDaemon(on: store) { daemon in
            let body =
                Array(#"[{"message":"bad "#.utf8) + [0xFF, 0xC3]
                + Array(#" bytes"},{"message":"nul \u0000 here"}]"#.utf8)
            let answer = try daemon.request("POST", "/ingest", body)
            #expect(answer.integer("accepted") == 2, "\(answer.text)")
            try daemon.postRecords(1, message: "neighbour")
            #expect(try daemon.storedPatterns().reduce(0) { $0 + $1.count } == 3)
        }
    }

    @Test func `a trace sent as text is one record, and a line that breaks off is named by its byte`() throws {
        try withDaemon { daemon in
            let text = "ready\nTraceback (most recent call last):\n  File \"a.py\", line 1\nValueError: x\nready\n"
            let answer = try daemon.post("/ingest", text, type: "text/plain")
            #expect(counts(answer) == [3, 1, 0, 0], "\(answer.text)")
            #expect(try daemon.storedPatterns().map(\.count) == [2, 1])
            let lines = try daemon.post(
                "/ingest",
                "{\"message\":\"a\"}\n{\"message\":}\n",
                type: "application/x-ndjson"
            )
            #expect(lines.integer("errors.0.index") == 1)
            #expect(lines.integer("errors.0.offset") == 27, "\(lines.text)")
        }
    }

    @Test func `what is left out of a record at a bound is counted`() throws {
        try withDaemon { daemon in
            let long = String(repeating: "long words ", count: 6000)
            let many = (0..<40).map { #""k\#($0)":1"# }.joined(separator: ",")
            _ = try daemon.post("/ingest", #"[{"message":"\#(long)"},{"message":"m",\#(many)},{"message":"n"}]"#)
            let page = try daemon.get("/metrics").text
            #expect(page.contains("logboom_records_cut_total{part=\"message\"} 1\n"))
            #expect(page.contains("logboom_records_cut_total{part=\"attributes\"} 1\n"))
        }
    }

    @Test func `the unix socket takes records as the port does`() throws {
        try withDaemon { daemon in
            let connection = try HTTPTestConnection(.unix(path: daemon.socketPath))
            for _ in 0..<3 {
                #expect(try connection.send("POST", "/ingest", Array(#"{"message":"a"}"#.utf8)).status == 202)
            }
            #expect(try connection.send("GET", "/stats").integer("records.accepted") == 3)
        }
    }
}
