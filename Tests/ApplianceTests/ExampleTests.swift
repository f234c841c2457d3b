import Foundation
import PipelineTesting
import Testing

/// What packaging/examples hands out, run against a real daemon.
@Suite struct ExampleTests {
    private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("packaging/examples").path

    /// Every answered request is on the disk: a killed daemon takes nothing with it that was acknowledged.
    private static let durable = ["DURABLE_LEVEL": "trace"]

    private func node(_ script: String, _ environment: [String: String]) throws -> ChildProcess? {
        guard let node = Programs.installed("node") else {
            print("skipped: no node in PATH")
            return nil
        }
        var environment = environment
        environment["EXAMPLES"] = Self.folder
        return try ChildProcess([node, "-e", script], environment: environment)
    }

    /// A client is stopped halfway by a daemon that is killed; started again in the same folder, it holds each log once.
    private func expectOnceThroughKill(_ client: (DaemonProcess) throws -> ChildProcess?) throws {
        let first = try DaemonProcess(Self.durable)
        guard let child = try client(first) else { return }
        try Wait.until("half of the logs: \(child.errors)", .seconds(30), holds: { child.output.contains("half") })
        first.kill9()
        try Wait.until("the client to notice", .seconds(30), holds: { child.errors.contains("does not answer") })
        let second = try DaemonProcess(Self.durable, state: first.state)
        #expect(try child.waitForEnd(.seconds(60)) == .exited(0), "\(child.output)\(child.errors)")
        let counts = try #require(child.output.split(separator: "\n").last.map { Data($0.utf8) })
        let figures = try #require(try JSONSerialization.jsonObject(with: counts) as? [String: Int])
        #expect(figures["queued"] == 2000 && figures["sent"] == 2000, "\(figures)")
        #expect(figures["failed"] == 0 && figures["dropped"] == 0 && (figures["retries"] ?? 0) >= 1, "\(figures)")
        let stored = try second.storedPatterns().filter { $0.source == "test" }
        #expect(stored.map(\.pattern) == ["User <ID> logged in"])
        #expect(stored.map(\.count) == [2000])
        try expectOrderlyEnd(second)
    }

    @Test func `Node-RED's logging handler counts each log once through a daemon that is killed`() throws {
        try expectOnceThroughKill { daemon in
            try node(
                """
                const handler = require(process.env.EXAMPLES + '/node-red/logboom-logging.js')({
                  url: 'unix:' + process.env.SOCKET, source: 'test',
                  lingerMs: 5, batchRecords: 20, retryBaseMs: 20, retryCeilingMs: 200
                });
                let count = 0;
                function tick() {
                  for (let k = 0; k < 10; k++, count++)
                    handler({ level: 40, msg: `User ${count} logged in`, id: 'n1', type: 'function', z: 'f1' });
                  if (count === 1000) console.log('half');
                  if (count < 2000) setTimeout(tick, 5);
                  else handler.flush().then(() => console.log(JSON.stringify(handler.counts())));
                }
                tick();
                """,
                ["SOCKET": daemon.socketPath]
            )
        }
    }

    @Test func `the Python handler counts each log once through a daemon that is killed`() throws {
        guard let python = Programs.installed("python3") else { return print("skipped: no python3 in PATH") }
        try expectOnceThroughKill { daemon in
            try ChildProcess(
                [
                    python, "-B", "-c",
                    """
                    import json, logging, os, sys, time
                    sys.path.insert(0, os.environ["EXAMPLES"] + "/python")
                    from logboom_logging import LogboomHandler
                    handler = LogboomHandler("unix:" + os.environ["SOCKET"], "test", linger=0.005, batch_records=20,
                                             retry_base=0.02, retry_ceiling=0.2)
                    logger = logging.getLogger("t")
                    logger.setLevel(logging.INFO)
                    logger.addHandler(handler)
                    for count in range(2000):
                        logger.info("User %d logged in", count)
                        if count % 10 == 9: time.sleep(0.005)
                        if count == 999: print("half", flush=True)
                    handler.flush(None)
                    print(json.dumps(handler.counts))
                    """,
                ],
                environment: ["EXAMPLES": Self.folder, "SOCKET": daemon.socketPath]
            )
        }
    }

    @Test func `while Logboom is away the handler keeps what it may and says what it dropped`() throws {
        let state = try TemporaryDirectory()
        let child = try node(
            """
            const handler = require(process.env.EXAMPLES + '/node-red/logboom-logging.js')({
              url: 'unix:' + process.env.SOCKET, source: 'test', queueRecords: 100, batchRecords: 10, lingerMs: 1,
              retryBaseMs: 20, retryCeilingMs: 100
            });
            handler({ level: 20, msg: new TypeError('first') });
            setTimeout(() => {
              for (let count = 0; count < 250; count++) handler({ level: 30, msg: `pump ${count} is dry`, z: 'f' });
              console.log('full');
              handler.flush().then(() => console.log(JSON.stringify(handler.counts())));
            }, 50);
            """,
            ["SOCKET": state.file("logboom.sock")]
        )
        guard let child else { return }
        try Wait.until("the queue to fill: \(child.errors)", .seconds(30), holds: { child.output.contains("full") })
        let daemon = try DaemonProcess(Self.durable, state: state)
        #expect(try child.waitForEnd(.seconds(30)) == .exited(0), "\(child.errors)")
        let stored = try daemon.storedPatterns()
        let dry = stored.filter { $0.pattern == "pump <ID> is dry" || $0.pattern == "pump <NUM> is dry" }
        #expect(dry.map(\.count) == [100], "\(stored)")
        #expect(dry.map(\.level) == ["WARN"])
        #expect(stored.contains { $0.pattern.contains("logs were dropped while Logboom was away") && $0.count == 1 })
        #expect(stored.contains { $0.pattern.contains("TypeError: first") && $0.level == "ERROR" })
        try expectOrderlyEnd(daemon)
    }

    @Test func `the handler takes whatever Node-RED logs and never throws`() throws {
        try withDaemon { daemon in
            let child = try node(
                """
                const handler = require(process.env.EXAMPLES + '/node-red/logboom-logging.js')({
                  url: 'http://127.0.0.1:' + process.env.PORT, source: 'test'
                });
                const circle = {}; circle.self = circle;
                for (const msg of [
                  { level: 40, msg: 'a text' }, { level: 20, msg: new Error('an error') }, { level: 30, msg: { message: 'an object' } },
                  { level: 50, msg: { a: 1 } }, { level: 40, msg: 42 }, { level: 40, msg: null }, { level: 40 },
                  { level: 99, event: 'node.http', nodeid: 'n', value: 12 }, { level: 10, msg: ['a', 'b'], name: 'x', id: 'y' }
                ]) handler(msg);
                handler({ level: 40, msg: circle });
                handler(null);
                handler.flush().then(() => console.log(JSON.stringify(handler.counts())));
                """,
                ["PORT": String(daemon.port)]
            )
            guard let child else { return }
            #expect(try child.waitForEnd(.seconds(30)) == .exited(0), "\(child.errors)")
            #expect(child.output.contains(#""queued":9,"sent":9,"failed":0"#), "\(child.output)\(child.errors)")
            #expect(try daemon.storedPatterns().reduce(0) { $0 + $1.count } == 9)
        }
    }

    @Test func `the flow's nodes are wired, and what its functions make is taken`() throws {
        try withDaemon { daemon in
            let child = try node(Self.flowScript, ["PORT": String(daemon.port)])
            guard let child else { return }
            #expect(try child.waitForEnd(.seconds(30)) == .exited(0), "\(child.output)\(child.errors)")
            let stored = try daemon.storedPatterns()
            #expect(Set(stored.map(\.source)) == ["node-red"])
            #expect(Set(stored.map(\.level)) == ["ERROR", "INFO"])
            // The second attempt has the key of the first, and counts nothing.
            #expect(stored.map(\.count) == [1, 1], "\(stored)")
        }
    }

    /// Walks flow.json as Node-RED would, with as much of Node-RED around the function nodes as they use.
    private static let flowScript = """
        const assert = require('node:assert');
        const flow = require(process.env.EXAMPLES + '/node-red/flow.json');
        const byID = new Map(flow.map((node) => [node.id, node]));
        assert.equal(byID.size, flow.length, 'ids are unique');
        for (const node of flow) for (const id of (node.wires || []).flat()) assert(byID.has(id), `${node.name}: ${id}`);
        const request = flow.find((node) => node.type === 'http request');
        assert(request.persist && request.ret === 'obj' && request.method === 'POST');
        const named = (name) => flow.find((node) => node.name === name);
        const follows = (from, to) => assert(from.wires.flat().includes(to.id), `${from.name} leads to ${to.name}`);
        follows(flow.find((node) => node.type === 'catch'), named('error as record'));
        follows(named('error as record'), named('request'));
        follows(named('message as record'), named('request'));
        follows(named('request'), request);
        follows(request, named('answered?'));
        let status;
        const call = (name, msg) => new Function('msg', 'node', 'env', 'RED', named(name).func)(
          msg, { status: (now) => { status = now; } }, { get: (key) => ({ NR_FLOW_ID: 'f1', NR_NODE_ID: 'n1' })[key] },
          { util: { generateId: () => Math.random().toString(16).slice(2, 10) } });
        const send = async (msg) => {
          const answer = await fetch(`http://127.0.0.1:${process.env.PORT}/ingest`, {
            method: request.method, headers: msg.headers, body: JSON.stringify(msg.payload) });
          return { ...msg, payload: await answer.json(), headers: Object.fromEntries(answer.headers), statusCode: answer.status };
        };
        (async () => {
          const caught = { _msgid: 'm', payload: 1, headers: { host: 'else.where' }, error: { message: 'boom',
            source: { id: 'n9', type: 'function', name: 'parse', count: 1 } } };
          const record = call('error as record', caught);
          assert.deepEqual(record.logboom.body.metadata, { flow_id: 'f1', flow_name: undefined, node_id: 'n9',
            node_type: 'function', node_name: 'parse' });
          const sent = await send(call('request', record));
          assert(sent.statusCode === 200 && sent.payload.accepted === 1, JSON.stringify(sent));
          assert.equal(call('answered?', sent), null);
          assert.equal(status.fill, 'green');
          // No answer: the same again, a little later, at most five times.
          let next = { ...sent, statusCode: 'ECONNREFUSED' };
          for (let tries = 1; tries <= 5; tries++) {
            next = call('answered?', next);
            assert(next.logboom.tries === tries && next.delay >= 1000, JSON.stringify(next));
            next.statusCode = 503;
          }
          assert.equal(call('answered?', next), null);
          assert.equal(status.fill, 'red');
          const again = await send(call('request', next));
          assert(again.payload.repeated, JSON.stringify(again.payload));
          const greeting = JSON.parse(named('say hello').payload);
          const hello = await send(call('request', call('message as record', { payload: greeting, topic: 't' })));
          assert.equal(hello.statusCode, 202);
          assert.equal(call('answered?', { ...hello, statusCode: 400 }), null);
        })().catch((error) => { console.error(error); process.exit(1); });
        """

    @Test func `the journal script goes on where it ended, and sends a batch once that was not answered`() throws {
        guard Programs.installed("curl") != nil else { return print("skipped: no curl in PATH") }
        let folder = try TemporaryDirectory()
        // journalctl as far as the script uses it: entries are the lines of a file, and a cursor is how many were read.
        try """
        #!/bin/bash
        for argument; do case $argument in --cursor-file=*) cursor=${argument#*=} ;; --lines=0) none=yes ;; esac; done
        read=$(cat "$cursor" 2>/dev/null || echo 0)
        [ -n "$none" ] || tail -n +$((read + 1)) "$ENTRIES"
        wc -l <"$ENTRIES" >"$cursor"
        """.write(toFile: folder.file("journalctl"), atomically: false, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: folder.file("journalctl"))
        func entries(_ range: Range<Int>) -> String {
            range.map {
                #"{"__REALTIME_TIMESTAMP":"1736937045123456","PRIORITY":"6","SYSLOG_IDENTIFIER":"sshd","MESSAGE":"port \#($0) closed"}"#
                    + "\n"
            }.joined()
        }
        let state = try TemporaryDirectory()
        func run() throws -> ChildProcess {
            try ChildProcess(
                [Self.folder + "/journald/logboom-journal", folder.file("state")],
                environment: [
                    "PATH": folder.path + ":" + (ProcessInfo.processInfo.environment["PATH"] ?? ""),
                    "ENTRIES": folder.file("entries"), "LOGBOOM_PAUSE": "0",
                    "LOGBOOM_URL": "unix:\(state.file("logboom.sock"))",
                ]
            )
        }
        try entries(0..<100).write(toFile: folder.file("entries"), atomically: false, encoding: .utf8)
        let daemon = try DaemonProcess(Self.durable, state: state)
        // The first run begins at the journal's end.
        #expect(try run().waitForEnd(.seconds(30)) == .exited(0))
        try entries(0..<300).write(toFile: folder.file("entries"), atomically: false, encoding: .utf8)
        daemon.kill9()
        let waiting = try run()
        let part = folder.file("state/part.aaaa")
        try Wait.until("a batch that waits", .seconds(30), holds: { FileManager.default.fileExists(atPath: part) })
        waiting.kill()
        try entries(0..<500).write(toFile: folder.file("entries"), atomically: false, encoding: .utf8)
        let second = try DaemonProcess(Self.durable, state: state)
        // The batch that waited, and then what came since.
        for _ in 0..<2 { #expect(try run().waitForEnd(.seconds(30)) == .exited(0)) }
        #expect(try second.storedPatterns().reduce(0) { $0 + $1.count } == 400)
        try expectOrderlyEnd(second)
    }
}
