import Foundation
import PipelineTesting
import Testing

/// Grafana Loki's clients against a real daemon; the forms of bodies are in RecordDecodingTests/Fixtures/loki.
@Suite struct LokiTests {
    private let body =
        #"{"streams":[{"stream":{"app":"door","host":"pi5","level":"error"},"values":[["1736937045000000000","User 1 logged in"],["1736937046000000000","User 2 logged in"]]}]}"#

    @Test func `what is pushed is counted and answered 204 without a body`() throws {
        try withDaemon { daemon in
            let connection = try HTTPTestConnection(daemon.address)
            for _ in 0..<3 {
                let answer = try connection.send(
                    "POST",
                    "/loki/api/v1/push",
                    Array(body.utf8),
                    headers: ["Content-Type": "application/json", "X-Scope-OrgID": "acme"]
                )
                #expect(answer.status == 204)
                #expect(answer.headers["content-length"] == nil && answer.headers["content-type"] == nil)
            }
            let stored = try daemon.storedPatterns()
            #expect(stored == [StoredPattern(pattern: "User <ID> logged in", level: "ERROR", source: "door", count: 6)])
            #expect(try daemon.get("/stats").integer("received") == 6)
        }
    }

    @Test func `what has the wrong form is refused as a whole, in text`() throws {
        try withDaemon { daemon in
            for broken in ["{", "[]", #"{"streams":[{"stream":{},"values":[["1","a"],[2,"b"]]}]}"#, ""] {
                let answer = try daemon.post("/loki/api/v1/push", broken)
                #expect(answer.status == 400, "\(broken)")
                #expect(answer.headers["content-type"]?.hasPrefix("text/plain") == true)
                #expect(answer.text.contains("at byte"))
            }
            let foreign = try daemon.post("/loki/api/v1/push", "\u{1c}l", type: "application/x-protobuf")
            #expect(foreign.status == 415)
            #expect(foreign.text.contains("JSON"))
            #expect(try daemon.get("/stats").integer("records.accepted") == 0)
        }
    }

    @Test func `a push that is repeated under its key counts once`() throws {
        try withDaemon { daemon in
            for place in 0..<2 {
                let answer = try daemon.request(
                    "POST",
                    "/loki/api/v1/push",
                    Array(body.utf8),
                    headers: ["Content-Type": "application/json", "Idempotency-Key": "k1"]
                )
                #expect(answer.status == 204)
                #expect((answer.headers["idempotent-replayed"] == "true") == (place == 1))
            }
            #expect(try daemon.storedPatterns().map(\.count) == [2])
        }
    }
}
