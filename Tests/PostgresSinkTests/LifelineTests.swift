import Delivery
import LogModel
import PipelineTesting
import Ports
import PostgresClient
import PostgresSink
import Testing

/// What those who watch a thread see of it while a server takes its time.
@Suite(.timeLimit(.minutes(10)))
struct LifelineTests {
    private let lifeline = Lifeline(interval: .milliseconds(10))

    private func parameters(host: String, port: Int, database: String = "postgres") -> ConnectionParameters {
        var parameters = ConnectionParameters(
            host: host,
            port: port,
            database: database,
            user: PostgresCluster.user,
            password: nil,
            sslMode: "disable"
        )
        parameters.connectTimeout = .milliseconds(300)
        parameters.lifeline = lifeline
        return parameters
    }

    @Test func `the wait for a slow statement is one in turns`() throws {
        let cluster = try PostgresCluster.shared()
        let connection = try Connection(parameters(host: cluster.socketDirectory, port: cluster.port))
        let before = lifeline.signCount
        _ = try connection.run("SELECT pg_sleep(0.3)", action: "sleep")
        // Thirty turns at best; a crowded machine makes fewer.
        #expect(lifeline.signCount - before >= 3)
        #expect(!lifeline.isLookingUp)
    }

    @Test func `the wait for a login that nobody answers is one in turns, and the look-up before it is over`() throws {
        let proxy = try FaultProxy(to: 1)
        proxy.blackHole()
        #expect(throws: PostgresError.self) { try Connection(parameters(host: "localhost", port: proxy.port)) }
        #expect(lifeline.signCount >= 3)
        #expect(!lifeline.isLookingUp)
    }

    @Test func `a name that does not exist leaves no look-up behind`() {
        #expect(throws: PostgresError.self) { try Connection(parameters(host: "no-such-host.invalid", port: 1)) }
        #expect(!lifeline.isLookingUp)
        #expect(lifeline.signCount > 0)
    }

    @Test func `sink and reader show signs of life, and a silent minute is too long for them`() async throws {
        let warehouse = try Warehouse()
        let sink = PostgresSink(warehouse.settings)
        #expect(await sink.apply(0, 1, [makeBatch([Series()])]) == .success(.applied))
        #expect(sink.signOfLifeCount > 0)
        #expect(sink.silenceMax == .seconds(60))
        let reader = PostgresReader(warehouse.settings)
        await withCheckedContinuation { continuation in reader.status { _ in continuation.resume() } }
        #expect(reader.signOfLifeCount > 0)
        #expect(reader.silenceMax == .seconds(60))
        await withCheckedContinuation { continuation in reader.close { continuation.resume() } }
        await sink.close()
    }
}
