import Foundation
import PipelineTesting
import Testing

/// The document says what the daemon does, and the daemon does what the document says. That every answer any test gets is in
/// it is looked at in ``DaemonProcess/request(_:_:_:headers:)``; packaging/check-openapi asks with requests of its own making.
@Suite struct OpenAPITests {
    @Test func `the document in the repository is the one served, and known copies are not sent again`() throws {
        try withDaemon { daemon in
            let answer = try daemon.get("/openapi.json")
            #expect(answer.status == 200)
            #expect(answer.body == [UInt8](try Data(contentsOf: URL(fileURLWithPath: APIDocument.path))))
            #expect(answer.string("openapi") == "3.1.0")
            let tag = try #require(answer.headers["etag"])
            for known in [tag, "W/\(tag)", "\"other\", \(tag)", "*"] {
                let again = try daemon.request("GET", "/openapi.json", headers: ["If-None-Match": known])
                #expect(again.status == 304, "\(known)")
                #expect(again.headers["etag"] == tag)
                #expect(again.body.isEmpty)
            }
            #expect(try daemon.request("GET", "/openapi.json", headers: ["If-None-Match": "\"other\""]).status == 200)
            // A body that may not be there must not be announced: the next answer would be taken for it.
            let connection = try HTTPTestConnection(daemon.address)
            for _ in 0..<2 {
                #expect(
                    try connection.send("GET", "/openapi.json", headers: ["If-None-Match": tag]).status == 304
                )
            }
            #expect(try connection.send("GET", "/livez").flag("alive") == true)
        }
    }

    @Test func `every route is in the document, and nothing else is`() throws {
        try withDaemon { daemon in
            let index = try daemon.get("/")
            let rows = try #require(index["routes"] as? [[String: Any]])
            let served = Dictionary(
                uniqueKeysWithValues: rows.map {
                    ($0["path"] as? String ?? "", Set($0["methods"] as? [String] ?? []))
                }
            )
            #expect(served.count > 15)
            #expect(served == APIDocument.statuses.mapValues { Set($0.keys) })
            for (path, methods) in served {
                let target = path.replacingOccurrences(of: "{id}", with: "4711")
                for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"]
                where !methods.contains(method) {
                    let answer = try daemon.request(method, target)
                    #expect(answer.status == 405, "\(method) \(target)")
                    #expect(
                        Set(answer.headers["allow"]?.components(separatedBy: ", ") ?? []) == methods,
                        "\(method) \(target)"
                    )
                }
            }
            #expect(try daemon.get("/v2").string("detail")?.contains("GET /") == true)
        }
    }
}
