import HTTPServing
import PipelineTesting
import Testing

/// Real clients that keep connections alive and write into them at the worst moment.
@Suite(.timeLimit(.minutes(10))) struct NodeTests {
    /// Each lane keeps one connection and pauses about as long as the server keeps it, so that many requests meet its end. Says too
    /// by how many milliseconds it woke up late at worst.
    private static let script = """
        const http = require('http');
        const [port, lanes, rounds, hint] = process.argv.slice(1).map(Number);
        const agent = new http.Agent({ keepAlive: true, maxSockets: lanes });
        let failed = 0, done = 0, reused = 0, late = 0;
        const post = () => new Promise(resolve => {
          const body = '{"message":"a"}';
          const request = http.request({ port, host: '127.0.0.1', path: '/x', method: 'POST', agent,
            headers: { 'Content-Type': 'application/json', 'Content-Length': body.length } }, answer => {
            answer.resume();
            answer.on('end', () => { done++; if (request.reusedSocket) reused++; resolve(); });
          });
          request.on('error', error => { failed++; console.error(error.code); resolve(); });
          request.end(body);
        });
        const pause = time => new Promise(resolve => {
          const due = Date.now() + time;
          setTimeout(() => { late = Math.max(late, Date.now() - due); resolve(); }, time);
        });
        const lane = async number => {
          for (let round = 0; round < rounds; round++) {
            await post();
            await pause(hint * 1000 * (0.4 + 0.8 * ((number * 7 + round * 13) % 100) / 100));
          }
        };
        Promise.all(Array.from({ length: lanes }, (_, number) => lane(number)))
          .then(() => { console.log(JSON.stringify({ done, failed, reused, late })); process.exit(0); });
        """

    @Test func `five hundred rounds of a keep-alive agent meet no reset, also where the connection's time ends`() throws
    {
        guard let node = Programs.installed("node") else {
            print("Skipped: node is not installed.")
            return
        }
        var bounds = HTTPServerBounds(bodyByteCountMax: 1 << 20)
        // The hint is 2 s, the end 5 s after it as in the daemon, only that it comes sooner: 7 s.
        bounds.idleTimeout = .seconds(7)
        bounds.sweepInterval = .milliseconds(100)
        let server = try TestServer(bounds)
        var result = try rounds(node, server)
        // Where the client itself stood still for half of the five seconds, nothing can be said of the server.
        for _ in 0..<2 where (result.late ?? 0) > 2500 { result = try rounds(node, server) }
        #expect(result.errors == "", "\(result.output)")
        #expect(result.output.contains(#""done":500,"failed":0"#), "\(result.output)")
        #expect(!result.output.contains(#""reused":0"#), "\(result.output)")
    }

    private func rounds(_ node: String, _ server: TestServer) throws -> (output: String, errors: String, late: Int?) {
        let result = try ChildProcess.run(
            [node, "-e", Self.script, "\(server.port)", "100", "5", "2"],
            limit: .seconds(90)
        )
        let late = result.output.split(separator: #""late":"#).last.flatMap { Int($0.prefix { $0.isNumber }) }
        return (result.output, result.errors, late)
    }
}
