import Foundation
import RecordDecoding
import Testing

/// The senders' own bytes, and what must come of them. A folder a protocol: `NAME.request` is a request as it was on the wire
/// (head, blank line, body), `NAME.json` the records expected. LOGBOOM_UPDATE_GOLDEN=1 writes the latter anew; a change of
/// one is reviewed as a change of behaviour.
@Suite struct FixtureTests {
    struct Fixture: CustomTestStringConvertible {
        var name: String
        var request: URL
        var testDescription: String { name }
    }

    private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("Fixtures")

    static let all: [Fixture] = {
        let paths = (try? FileManager.default.subpathsOfDirectory(atPath: folder.path)) ?? []
        return paths.filter { $0.hasSuffix(".request") }.sorted().map {
            Fixture(name: String($0.dropLast(8)), request: folder.appendingPathComponent($0))
        }
    }()

    @Test(arguments: all)
    func `what a sender writes becomes the records it means`(_ fixture: Fixture) throws {
        let seen = try seen(in: fixture)
        let file = fixture.request.deletingPathExtension().appendingPathExtension("json")
        if ProcessInfo.processInfo.environment["LOGBOOM_UPDATE_GOLDEN"] == "1" {
            try seen.write(to: file, atomically: true, encoding: .utf8)
        }
        let expected = try String(contentsOf: file, encoding: .utf8)
        #expect(seen == expected, "\(seen)")
    }

    @Test func `each protocol has fixtures, and each fixture a path that takes records`() {
        #expect(Self.all.count >= 20)
        let folders = Set(Self.all.map { $0.name.prefix { $0 != "/" } })
        #expect(folders == ["logboom", "loki"])
    }

    /// The outcome, the records, and the answer where the protocol has its own, as JSON with sorted names.
    private func seen(in fixture: Fixture) throws -> String {
        let bytes = [UInt8](try Data(contentsOf: fixture.request))
        let split = try #require(bytes.firstRange(of: Array("\r\n\r\n".utf8)), "\(fixture.name) has no head")
        let head = String(decoding: bytes[..<split.lowerBound], as: UTF8.self).components(separatedBy: "\r\n")
        let path = head[0].split(separator: " ")[1]
        let route = try #require(IntakeRoute.table.first { "\($0.path)" == path })
        func header(_ name: String) -> String? {
            head.dropFirst().first { $0.lowercased().hasPrefix(name + ":") }.map {
                String($0.drop { $0 != ":" }.dropFirst()).trimmingCharacters(in: .whitespaces)
            }
        }
        let decoded = decode(
            Array(bytes[split.upperBound...]),
            at: route,
            type: header("content-type"),
            tenant: route.tenantHeader.flatMap { header("\($0)") } ?? ""
        )
        var shown: [String: Any] = ["outcome": decoded.outcome, "records": decoded.records.map(\.shown)]
        let outcome: IntakeOutcome =
            switch decoded.result {
            case .success(let summary): .taken(summary, isOverdue: false)
            case .failure(let malformed): .malformed(malformed)
            }
        if let answer = route.answer(outcome) {
            shown["answer"] = ["status": answer.status, "body": String(decoding: answer.body, as: UTF8.self)]
        }
        let options: JSONSerialization.WritingOptions = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try JSONSerialization.data(withJSONObject: shown, options: options), as: UTF8.self)
            + "\n"
    }
}

extension SeenRecord {
    /// What is not empty, by name.
    fileprivate var shown: [String: Any] {
        var shown: [String: Any] = ["message": message]
        if let severity { shown["severity"] = "\(severity)" }
        for (name, value) in [("source", source), ("host", host), ("tenant", tenant), ("dashboard", dashboard)]
        where !value.isEmpty {
            shown[name] = value
        }
        if let timestamp { shown["timestamp"] = timestamp }
        if let latency { shown["latency"] = latency }
        if !attributes.isEmpty { shown["attributes"] = attributes }
        return shown
    }
}
