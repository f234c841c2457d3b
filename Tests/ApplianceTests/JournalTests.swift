import Foundation
import PipelineTesting
import Testing

/// The daemon on real journal files.
@Suite(.enabled(if: JournalFixture.isAvailable, "systemd-journal-remote is not installed"))
struct JournalTests {
    private static let sourceCount = 10
    private static let first: Int64 = 1_780_000_000_000_000

    /// A folder with so many entries, by `app0` … `app9` in turn.
    private func journal(_ count: Int) throws -> TemporaryDirectory {
        let folder = try TemporaryDirectory(mode: 0o755)
        try entries(count, from: 0).write(to: folder.file("system.journal"))
        return folder
    }

    private func entries(_ count: Int, from start: Int) -> JournalFixture {
        var fixture = JournalFixture(
            boot: 1,
            realtime: Self.first + Int64(start) * 1000,
            monotonic: 1_000_000 + Int64(start) * 1000
        )
        for number in start..<start + count {
            fixture.add(
                "entry number \(number)",
                ["_SYSTEMD_UNIT": "app\(number % Self.sourceCount).service", "PRIORITY": number % 7 == 0 ? "3" : "6"]
            )
        }
        return fixture
    }

    private func settings(_ folder: TemporaryDirectory, _ more: [String: String] = [:]) -> [String: String] {
        [
            "JOURNAL": "on", "JOURNAL_DIRECTORY": folder.path, "JOURNAL_LOOKBACK": "87600h",
            "AGGREGATION_WINDOW": "1",
        ].merging(more) { $1 }
    }

    private func waitForEntries(_ daemon: DaemonProcess, _ count: Int) throws {
        try daemon.waitForStats("\(count) journal entries", .seconds(60)) {
            ($0.integer("journal.entries") ?? 0) >= count && $0.integer("journal.lag_s") == 0
        }
    }

    @Test(arguments: Store.allCases)
    func `the journal becomes patterns, and what is written later follows`(store: Store) throws {
        let folder = try journal(500)
        try withDaemon(on: store, settings(folder)) { daemon in
            try waitForEntries(daemon, 500)
            var patterns = try daemon.storedPatterns()
            #expect(patterns.reduce(0) { $0 + $1.count } == 500)
            #expect(Set(patterns.map(\.source)) == Set((0..<Self.sourceCount).map { "app\($0)" }))
            #expect(patterns.filter { $0.level == "ERROR" }.reduce(0) { $0 + $1.count } == 72)
            try entries(300, from: 500).write(to: folder.file("system@2.journal"))
            try waitForEntries(daemon, 800)
            patterns = try daemon.storedPatterns()
            #expect(patterns.reduce(0) { $0 + $1.count } == 800)
            try daemon.waitForStats("a receipt") { ($0.integer("journal.stretch") ?? 0) > 0 }
            let metrics = try daemon.get("/metrics").text
            #expect(metrics.contains("logboom_journal_reading 1\n"))
        }
    }

    @Test(arguments: Store.allCases)
    func `stopped and started again, the daemon goes on where it was`(store: Store) throws {
        let folder = try journal(300)
        let state = try TemporaryDirectory()
        var settings = settings(folder)
        if store == .postgres { settings.merge(try TestDatabase(.shared()).settings()) { $1 } }
        let before = try DaemonProcess(settings, state: state)
        try waitForEntries(before, 300)
        try expectOrderlyEnd(before)
        try entries(200, from: 300).write(to: folder.file("system@2.journal"))
        let after = try DaemonProcess(settings, state: state)
        try waitForEntries(after, 200)
        #expect(try after.storedPatterns().reduce(0) { $0 + $1.count } == 500)
        #expect(try after.get("/stats").integer("journal.entries") == 200)
        try expectOrderlyEnd(after)
    }

    /// The embedded store; PostgreSQL with the runtime directory, as a restart finds it; and without, as a power cut leaves it.
    enum Memory: String, CaseIterable, CustomTestStringConvertible {
        case embedded, runtimeDirectory, powerCut
        var testDescription: String { rawValue }
    }

    @Test(arguments: Memory.allCases)
    func `killed again and again, it counts each entry once`(memory: Memory) throws {
        let count = 6000
        let folder = try journal(count)
        let state = try TemporaryDirectory()
        let runtime = try TemporaryDirectory()
        var settings = settings(folder, ["BATCH_SIZE": "100", "RUNTIME_DIRECTORY": runtime.path])
        if memory != .embedded { settings.merge(try TestDatabase(.shared()).settings()) { $1 } }
        var generator = SeededGenerator(of: "journal, killed, \(memory)")
        var kills = 0
        for _ in 0..<8 {
            let daemon = try DaemonProcess(settings, state: state)
            // Somewhere in the middle of catching up.
            let delay = Int32.random(in: 0...250, using: &generator)
            _ = poll(nil, 0, delay)
            daemon.child.signal(SIGKILL)
            _ = try daemon.child.waitForEnd(.seconds(10))
            kills += 1
            if memory == .powerCut { try? FileManager.default.removeItem(atPath: runtime.file("journal-position")) }
        }
        let daemon = try DaemonProcess(settings, state: state)
        try daemon.waitForStats("the journal's end", .seconds(60)) {
            $0.string("journal.state") == "reading" && $0.integer("journal.lag_s") == 0
                && ($0.integer("journal.stretch") ?? 0) > 0
        }
        let patterns = try Wait.until("each entry counted", .seconds(60)) {
            let patterns = try daemon.storedPatterns()
            let sum = patterns.reduce(0) { $0 + $1.count }
            if sum > count { throw TestingError("\(sum) of \(count) entries are counted after \(kills) kills") }
            return sum == count ? patterns : nil
        }
        for number in 0..<Self.sourceCount {
            #expect(
                patterns.filter { $0.source == "app\(number)" }.reduce(0) { $0 + $1.count } == count / Self.sourceCount
            )
        }
        #expect(try daemon.get("/stats").flag("journal.may_repeat") == false)
        try expectOrderlyEnd(daemon)
    }

    @Test func `the daemon's own lines do not come back in`() throws {
        // As the journal has them when a daemon logs under a unit of its own: each line read would make another.
        let folder = try TemporaryDirectory(mode: 0o755)
        var fixture = JournalFixture(boot: 1, realtime: Self.first)
        for number in 0..<50 { fixture.add("own \(number)", ["_SYSTEMD_UNIT": "logboomd.service"]) }
        fixture.add("other", ["_SYSTEMD_UNIT": "other.service"])
        try fixture.write(to: folder.file("system.journal"))
        try withDaemon(settings(folder)) { daemon in
            try waitForEntries(daemon, 51)
            let stats = try daemon.get("/stats")
            #expect(stats.integer("journal.own") == 50)
            #expect(try daemon.storedPatterns().map(\.source) == ["other"])
        }
    }

    @Test func `turned off, nothing of a journal is read`() throws {
        let folder = try journal(5)
        try withDaemon(settings(folder, ["JOURNAL": "off"])) { (daemon: DaemonProcess) throws in
            let stats = try daemon.get("/stats")
            #expect(stats.string("journal.state") == "off")
            #expect(stats.integer("journal.entries") == 0)
        }
    }
}
