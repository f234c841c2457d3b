import Delivery
import LogModel
import PipelineTesting
import Testing

struct StretchBookTests {
    private func book(_ recovery: StretchRecovery = StretchRecovery(), hasForward: Bool = true, isGuess: Bool = false)
        -> StretchBook
    {
        StretchBook(
            recovery,
            firstName: StreamID(rawValue: 9),
            hasForward: hasForward,
            isGuess: isGuess,
            generator: SeededGenerator(seed: 1)
        )
    }

    @Test func `stretches follow each other, each with a number and a name of its own`() {
        var book = book()
        #expect(book.position() == nil && book.cursor == nil)
        let first = book.sealed(through: "a")
        let second = book.sealed(through: "b")
        #expect(first.from == nil && first.through == "a" && second.from == "a" && second.through == "b")
        #expect(first.seal == 1 && second.seal == 2 && first.name != second.name)
        #expect(book.position()?.stretches == [first, second])
        #expect(book.openCount == 2)
    }

    @Test func `a stretch is closed when every lane has a receipt, and the newest is kept all the same`() {
        var book = book()
        let first = book.sealed(through: "a")
        book.received(first.seal, by: .store)
        #expect(book.openCount == 1 && !book.lacks(first, at: .store) && book.lacks(first, at: .forward))
        book.received(first.seal, by: .forward)
        #expect(book.openCount == 0)
        #expect(book.position()?.stretches.map(\.seal) == [1])
        let second = book.sealed(through: "b")
        #expect(book.position(own: 2)?.stretches == [second])
    }

    @Test func `without an analytics node the store's receipt is enough`() {
        var book = book(hasForward: false)
        let first = book.sealed(through: "a")
        book.received(first.seal, by: .store)
        #expect(book.openCount == 0)
    }

    @Test func `a start goes on behind the newest, under the name that was announced`() throws {
        var before = book()
        _ = before.sealed(through: "a")
        let position = try #require(before.position(own: 1))
        var recovery = StretchRecovery()
        recovery.add(position, keptBy: .store)
        var after = book(recovery)
        #expect(after.cursor == "a")
        #expect(after.lacking.map(\.seal) == [1])
        let lacking = try #require(after.lacking.first)
        #expect(!after.lacks(lacking, at: .store) && after.lacks(lacking, at: .forward))
        #expect(lacking.name == StreamID(rawValue: 9))
        #expect(after.sealed(through: "b").name == position.nextName)
        // Where something may have taken that name, it is not used.
        var guess = book(recovery, isGuess: true)
        #expect(guess.sealed(through: "b").name != position.nextName)
    }

    @Test func `receipts add up from everybody, in any order`() throws {
        var before = book()
        let first = before.sealed(through: "a")
        let second = before.sealed(through: "b")
        let old = try #require(before.position(own: first.seal))
        let new = try #require(before.position(own: second.seal))
        let found: [(SourcePosition, StretchReceiver?)] = [
            (old, .store), (new, .forward), (new, nil), (old, .forward),
        ]
        var generator = SeededGenerator(seed: 3)
        for _ in 0..<10 {
            var recovery = StretchRecovery()
            for (position, receiver) in found.shuffled(using: &generator) { recovery.add(position, keptBy: receiver) }
            let book = book(recovery)
            #expect(book.cursor == "b")
            #expect(book.lacking.map(\.seal) == [2])
            #expect(book.lacks(second, at: .store) && !book.lacks(second, at: .forward))
        }
    }

    @Test func `where a place is guessed, numbers go on far above those that somebody else may know`() {
        var guess = book(isGuess: true)
        #expect(guess.sealed(through: "a").seal > 1 << 20)
    }
}
