import LogModel
import Pipeline
import PipelineTesting
import Ports
import Synchronization
import Testing

/// A thread that answers when it is told to.
private final class FakeThread: Pingable {
    private struct State {
        var silenceMax = Duration.seconds(60)
        var signs = 0
        var answers: [@Sendable () -> Void] = []
    }

    let threadName = "fake"
    private let state = Mutex(State())

    var silenceMax: Duration {
        get { state.withLock { $0.silenceMax } }
        set { state.withLock { $0.silenceMax = newValue } }
    }
    var signOfLifeCount: Int { state.withLock { $0.signs } }
    var pingCount: Int { state.withLock { $0.answers.count } }

    func ping(_ answer: @escaping @Sendable () -> Void) {
        state.withLock { $0.answers.append(answer) }
    }

    func answer() {
        let answers = state.withLock { state in
            defer { state.answers = [] }
            return state.answers
        }
        for answer in answers { answer() }
    }

    func showSignOfLife() {
        state.withLock { $0.signs += 1 }
    }
}

@Suite struct HeartbeatTests {
    private let scheduler = ManualScheduler()
    private let thread = FakeThread()

    /// Looks every 15 s, as often as a watchdog of 30 s asks for.
    private func looks(_ heartbeat: Heartbeat, _ count: Int, between: () -> Void = {}) -> [[String]] {
        (0..<count).map { _ in
            scheduler.advance(by: .seconds(15))
            between()
            scheduler.run()
            return heartbeat.check()
        }
    }

    @Test func `a thread that answers is alive`() {
        let heartbeat = Heartbeat([thread], scheduler: scheduler)
        #expect(looks(heartbeat, 40, between: thread.answer).allSatisfy { $0.isEmpty })
    }

    @Test func `a thread that does not answer is named once its time is over, and asked only once`() {
        let heartbeat = Heartbeat([thread], scheduler: scheduler)
        #expect(looks(heartbeat, 6) == [[], [], [], [], ["fake"], ["fake"]])
        #expect(thread.pingCount == 1)
    }

    @Test func `a thread that answers at last is alive again`() {
        let heartbeat = Heartbeat([thread], scheduler: scheduler)
        #expect(looks(heartbeat, 5).last == ["fake"])
        thread.answer()
        scheduler.run()
        #expect(heartbeat.check() == [])
        #expect(thread.pingCount == 1)
    }

    @Test func `a thread that waits in turns is alive for as long as it does`() {
        let heartbeat = Heartbeat([thread], scheduler: scheduler)
        // Half an hour of one statement.
        #expect(looks(heartbeat, 120, between: thread.showSignOfLife).allSatisfy { $0.isEmpty })
        #expect(looks(heartbeat, 5) == [[], [], [], [], ["fake"]])
    }

    @Test func `a call that is allowed more time gets it, and no more after it`() {
        let heartbeat = Heartbeat([thread], scheduler: scheduler)
        thread.silenceMax = .seconds(240)
        #expect(looks(heartbeat, 16).allSatisfy { $0.isEmpty })
        #expect(looks(heartbeat, 1) == [["fake"]])
        // The end of the call is a sign of life, and comes before the allowance goes.
        thread.showSignOfLife()
        thread.silenceMax = .seconds(60)
        // Seen at the first look, so the minute begins there.
        #expect(looks(heartbeat, 6) == [[], [], [], [], [], ["fake"]])
    }

    @Test func `one stuck thread is named among others that answer`() {
        let other = FakeThread()
        let heartbeat = Heartbeat([other, thread], scheduler: scheduler)
        #expect(looks(heartbeat, 5, between: other.answer) == [[], [], [], [], ["fake"]])
    }
}
