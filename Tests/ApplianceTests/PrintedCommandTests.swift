import Foundation
import PipelineTesting
import Testing

/// Serialized: one of the commands uses a file of a fixed name.
@Suite(.serialized)
struct PrintedCommandTests {
    /// Runs a printed text in bash with the address replaced, and without `| jq .` where there is no jq; its output.
    private func run(_ printed: String, _ daemon: DaemonProcess) throws -> String {
        var command = placed(printed, daemon)
        if Programs.installed("jq") == nil { command = command.replacingOccurrences(of: " | jq .", with: "") }
        let result = try ChildProcess.run(["/bin/bash", "-c", command])
        #expect(result.end == .exited(0), "\(command)\n\(result.output)\n\(result.errors)")
        return result.output
    }

    private func placed(_ printed: String, _ daemon: DaemonProcess) -> String {
        ["localhost:8004", "localhost:3002"].reduce(printed) {
            $0.replacingOccurrences(of: $1, with: "127.0.0.1:\(daemon.port)")
        }
    }

    private func json(_ text: String) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any], "\(text)")
    }

    private func accepted(_ output: String) throws -> [Int?] {
        let answer = try json(output)
        return ["accepted", "failed"].map { answer[$0] as? Int }
    }

    @Test(arguments: Store.allCases)
    func `the commands printed for the log aggregator do what they say`(_ store: Store) throws {
        try withDaemon(on: store) { daemon in
            #expect(try accepted(run(PrintedCommands.aggregatorSingle, daemon)) == [1, 0])
            #expect(try accepted(run(PrintedCommands.aggregatorBatch, daemon)) == [2, 0])
            let statistics = try json(run(PrintedCommands.aggregatorStatistics, daemon))
            #expect((statistics["records"] as? [String: Any])?["accepted"] as? Int == 3)
            let patterns = try daemon.storedPatterns()
            #expect(
                Set(patterns.map { "\($0.count) \($0.level) \($0.source): \($0.pattern)" }) == [
                    "1 INFO auth-service: User login successful", "1 DEBUG db-service: Database query executed",
                    "1 WARN cache-service: Cache miss for key xyz",
                ]
            )
        }
    }

    @Test(arguments: Store.allCases)
    func `the commands printed for the log ingest service do what they say`(_ store: Store) throws {
        try withDaemon(on: store) { daemon in
            let health = try json(run(PrintedCommands.serviceHealth, daemon))
            #expect(health["status"] as? String == "healthy")
            #expect(health["templates_loaded"] as? Int == 0)
            #expect(try accepted(run(PrintedCommands.serviceSingle, daemon)) == [1, 0])
            #expect(try accepted(run(PrintedCommands.serviceBatch, daemon)) == [3, 0])
            #expect(try accepted(run(PrintedCommands.serviceLargeBatch, daemon)) == [2000, 0])
            for command in [PrintedCommands.serviceStatistics, PrintedCommands.serviceTemplateCount] {
                let statistics = try json(run(command, daemon))
                #expect(try #require(statistics["templates_loaded"] as? Int) >= 3)
                #expect(statistics["optimal_batch_size"] as? Int == 1000)
            }
            let patterns = try daemon.storedPatterns()
            #expect(patterns.reduce(0) { $0 + $1.count } == 2004)
            #expect(patterns.filter { $0.level == "ERROR" }.reduce(0) { $0 + $1.count } == 2002)
            #expect(patterns.first?.count == 2000)
            #expect(patterns.contains { $0.source == "api" && $0.pattern.hasPrefix("Connection timeout after <") })
        }
    }

    @Test func `the printed uptime loop sees the service until it is down`() throws {
        try withDaemon { daemon in
            let loop = try ChildProcess(["/bin/bash", "-c", placed(PrintedCommands.serviceUptime, daemon)])
            defer { loop.kill() }
            try Wait.until("the loop's first answer", holds: { loop.output.hasSuffix("}\n") })
            #expect(try json(loop.output)["status"] as? String == "healthy")
        }
    }

    @Test func `the printed Python client works as it stands`() throws {
        let candidates = [ProcessInfo.processInfo.environment["LOGBOOM_PYTHON"], Programs.installed("python3")]
        let python = try candidates.compactMap { $0 }.first {
            try ChildProcess.run([$0, "-c", "import requests"]).end == .exited(0)
        }
        guard let python else { return print("skipped: no python3 that can import requests (LOGBOOM_PYTHON)") }
        try withDaemon { daemon in
            let result = try ChildProcess.run([python, "-c", placed(PrintedCommands.servicePython, daemon)])
            #expect(result.end == .exited(0), "\(result.errors)")
            #expect(result.output == "Ingested: 1, Matched: 0\nIngested: 3, Matched: 0\n")
            #expect(try daemon.storedPatterns().reduce(0) { $0 + $1.count } == 4)
        }
    }

    @Test func `the printed Node client works as it stands`() throws {
        guard let node = Programs.installed("node") else { return print("skipped: no node in PATH") }
        let folder = try TemporaryDirectory()
        try FileManager.default.createDirectory(atPath: folder.file("axios"), withIntermediateDirectories: false)
        try Self.axios.write(toFile: folder.file("axios/index.js"), atomically: false, encoding: .utf8)
        try withDaemon { daemon in
            let script = folder.file("client.js")
            try placed(PrintedCommands.serviceNode, daemon).write(toFile: script, atomically: false, encoding: .utf8)
            let result = try ChildProcess.run([node, script], environment: ["NODE_PATH": folder.path])
            #expect(result.end == .exited(0), "\(result.errors)")
            #expect(result.output == "Ingested: 1, Matched: 0\nIngested: 3, Matched: 0\n")
            #expect(try daemon.storedPatterns().reduce(0) { $0 + $1.count } == 4)
        }
    }

    /// As much of axios as the client uses, since npm may be out of reach: a failure status rejects, as axios does.
    private static let axios = """
        async function call(method, url, body) {
          const response = await fetch(url, {
            method,
            headers: { 'Accept': 'application/json, text/plain, */*', 'Content-Type': 'application/json' },
            body: body === undefined ? undefined : JSON.stringify(body)
          });
          const data = await response.json();
          if (response.status >= 300) throw new Error(`Request failed with status code ${response.status}`);
          return { status: response.status, data };
        }
        module.exports = {
          get: (url) => call('GET', url),
          post: (url, body) => call('POST', url, body)
        };
        """
}
