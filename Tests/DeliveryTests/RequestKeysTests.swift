import Delivery
import LogModel
import Testing

@Suite struct RequestKeysTests {
    private func at(_ seconds: Int64) -> MonotonicTime { MonotonicTime(nanoseconds: seconds * 1_000_000_000) }
    private func key(_ number: Int) -> StreamID { StreamID(rawValue: UInt64(number)) }

    private func name(_ verdict: RequestKeys<String>.Verdict) -> String {
        switch verdict {
        case .new: "new"
        case .underWay: "under way"
        case .repeated(let answer): answer
        case .misused: "misused"
        }
    }

    @Test func `a key is new, then under way, then answered with what the first was, for ten minutes`() {
        var keys = RequestKeys<String>()
        #expect(name(keys.look(key(1), body: 7, now: at(0))) == "new")
        #expect(name(keys.look(key(1), body: 7, now: at(1))) == "under way")
        keys.answered(key(1), with: "200")
        #expect(name(keys.look(key(1), body: 7, now: at(599))) == "200")
        #expect(name(keys.look(key(2), body: 7, now: at(599))) == "new")
        #expect(name(keys.look(key(1), body: 7, now: at(600))) == "new")
        #expect(keys.evictionCount == 0)
    }

    @Test func `a key with another body is misused, and the first stays`() {
        var keys = RequestKeys<String>()
        _ = keys.look(key(1), body: 7, now: at(0))
        #expect(name(keys.look(key(1), body: 8, now: at(1))) == "misused")
        keys.answered(key(1), with: "200")
        #expect(name(keys.look(key(1), body: 8, now: at(1))) == "misused")
        #expect(name(keys.look(key(1), body: 7, now: at(1))) == "200")
    }

    @Test func `a key whose request was no good may be used again, and lives from then`() {
        var keys = RequestKeys<String>()
        _ = keys.look(key(1), body: 7, now: at(0))
        keys.released(key(1))
        #expect(name(keys.look(key(1), body: 8, now: at(300))) == "new")
        keys.answered(key(1), with: "200")
        #expect(name(keys.look(key(1), body: 8, now: at(700))) == "200")
        #expect(name(keys.look(key(1), body: 8, now: at(900))) == "new")
    }

    @Test func `past their number the oldest keys go, counted`() {
        var keys = RequestKeys<String>()
        let most = Limits.requestKeyCountMax
        for number in 0..<most + 10 { _ = keys.look(key(number), body: 0, now: at(0)) }
        #expect(keys.count == most && keys.evictionCount == 10)
        #expect(name(keys.look(key(most + 9), body: 0, now: at(1))) == "under way")
        #expect(name(keys.look(key(0), body: 0, now: at(1))) == "new")
    }

    @Test func `a key names the same stream in every process of a node, and another one at another node`() {
        func stream(_ text: String, node: UInt8) -> StreamID {
            Array(text.utf8).withUnsafeBufferPointer {
                RequestKeys<String>.stream(of: $0, for: NodeID(random: [UInt8](repeating: node, count: 16)))
            }
        }
        #expect(stream("a", node: 1) == stream("a", node: 1))
        #expect(Set([stream("a", node: 1), stream("b", node: 1), stream("a", node: 2)]).count == 3)
    }
}
