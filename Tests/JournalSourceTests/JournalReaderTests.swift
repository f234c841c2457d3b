import Foundation
import JournalSource
import LogModel
import PipelineTesting
import Ports
import Telemetry
import Testing

/// Real journal files, as systemd-journal-remote makes them.
@Suite(
    .enabled(if: JournalFixture.isAvailable, "systemd-journal-remote is not installed"),
    .timeLimit(.minutes(10))
)
struct JournalReaderTests {
    private let folder: TemporaryDirectory

    init() throws {
        folder = try TemporaryDirectory()
    }

    private func write(_ fixture: JournalFixture, _ name: String = "system.journal") throws {
        try fixture.write(to: folder.file(name))
    }

    private func numbered(_ range: Range<Int>, boot: Int = 1, realtime: Int64 = firstMicrosecond) -> JournalFixture {
        // One boot's clock goes on from file to file.
        let uptime = 1_000_000 + max(0, realtime - firstMicrosecond)
        var fixture = JournalFixture(boot: boot, realtime: realtime, monotonic: uptime)
        for number in range { fixture.add("entry number \(number)") }
        return fixture
    }

    private static func numbers(_ messages: [String]) -> [Int] {
        messages.compactMap { Int($0.dropFirst("entry number ".count)) }
    }

    // MARK: What becomes of an entry

    @Test func `an entry's fields become source, host, level and time`() throws {
        var fixture = JournalFixture(boot: 1, realtime: firstMicrosecond)
        fixture.add("served", ["_SYSTEMD_UNIT": "nginx.service", "PRIORITY": "3", "SYSLOG_IDENTIFIER": "nginx-worker"])
        fixture.add("from a shell", ["_SYSTEMD_UNIT": "session-3.scope", "SYSLOG_IDENTIFIER": "bash"])
        fixture.add("usb 1-1: new device", ["_TRANSPORT": "kernel", "SYSLOG_IDENTIFIER": "kernel", "PRIORITY": "4"])
        fixture.add("in a box", ["_SYSTEMD_UNIT": "docker.service", "CONTAINER_NAME": "zigbee2mqtt"])
        fixture.add("of a user", ["_SYSTEMD_UNIT": "user@1000.service", "_SYSTEMD_USER_UNIT": "sync.service"])
        fixture.add("nameless", ["SYSLOG_IDENTIFIER": "", "_COMM": "sh"])
        try write(fixture)
        let records = try Reading(folder.path).all()
        #expect(records.map(\.source) == ["nginx", "bash", "kernel", "zigbee2mqtt", "sync", "sh"])
        #expect(records.map(\.severity) == [.error, .info, .warn, .info, .info, .info])
        #expect(records.map(\.timestamp.microseconds) == (0..<6).map { firstMicrosecond + $0 * 1000 })
        #expect(records[0].attributes == ["identifier": "nginx-worker"])
    }

    @Test func `the pages of a journal that was read are given back`() throws {
        var fixture = JournalFixture(boot: 1, realtime: firstMicrosecond)
        for index in 0..<10_000 { fixture.add("pump \(index) started", ["_SYSTEMD_UNIT": "pump.service"]) }
        try write(fixture)
        let reading = Reading(folder.path)
        #expect(try reading.all().count == 10_000)
        func residentKilobytes() throws -> Int {
            var isOurs = false
            var sum = 0
            for line in try String(contentsOfFile: "/proc/self/smaps", encoding: .utf8).split(separator: "\n") {
                // The head of a mapping begins with its address, in small letters.
                if line.first.map({ $0.isHexDigit && !$0.isUppercase }) == true { isOurs = line.contains(folder.path) }
                if isOurs, line.hasPrefix("Rss:") { sum += Int(line.split(separator: " ")[1]) ?? 0 }
            }
            return sum
        }
        // The file has 5 MB; what the next look at its end needs stays.
        try Wait.until("the pages to go", .seconds(20), holds: { try residentKilobytes() < 1024 })
    }

    @Test func `of a process's map, the files of the journal are found`() {
        let map = """
            7f1000000000-7f1000800000 r--s 00000000 fe:00 1  /var/log/journal/0a/system.journal
            7f2000000000-7f2000001000 r--s 00000000 fe:00 2  /run/log/journal/0a/user-1000@0005.journal~
            7f3000000000-7f3000001000 r--p 00000000 fe:00 3  /usr/lib/systemd/journal
            7f4000000000-7f4000001000 rw-p 00000000 00:00 0
            nonsense.journal
            """
        var found: [UInt] = []
        ProcessMemory.forEachMapping(in: map) { start, end, access, name in
            if access == "r--s", name.hasSuffix(".journal") || name.hasSuffix(".journal~") {
                found += [start, end - start]
            }
        }
        #expect(found == [0x7f10_0000_0000, 0x80_0000, 0x7f20_0000_0000, 0x1000])
    }

    @Test func `a program's plain output has the level that its text says`() throws {
        var fixture = JournalFixture(boot: 1, realtime: firstMicrosecond)
        fixture.add("ERROR: no disk", ["_TRANSPORT": "stdout"])
        fixture.add("with a level of its own", ["_TRANSPORT": "stdout", "PRIORITY": "4"])
        try write(fixture)
        #expect(try Reading(folder.path).all().map(\.severity) == [nil, .warn])
    }

    @Test func `Node-RED's own prefix gives the level and the node`() throws {
        var fixture = JournalFixture(boot: 1, realtime: firstMicrosecond)
        let unit = ["_TRANSPORT": "stdout", "_SYSTEMD_UNIT": "nodered.service"]
        fixture.add("21 Nov 14:03:11 - [warn] [function:add user] no name given", unit)
        fixture.add("1 Mär. 04:03:11 - [error] [mqtt-broker:d7c.1] Connection failed", unit)
        fixture.add("21 Nov 14:03:11 - [info] Started flows", unit)
        fixture.add("21 Nov 14:03:11 - [nothing] else", unit)
        try write(fixture)
        let records = try Reading(folder.path).all()
        #expect(
            records.map(\.message) == [
                "no name given", "Connection failed", "Started flows", "21 Nov 14:03:11 - [nothing] else",
            ]
        )
        #expect(records.map(\.severity) == [.warn, .error, .info, nil])
        #expect(records.map { $0.attributes["node"] } == ["function:add user", "mqtt-broker:d7c.1", nil, nil])
        #expect(records.allSatisfy { $0.source == "nodered" })
    }

    @Test func `the lines of a stack trace are one record, whoever prints in between`() throws {
        var fixture = JournalFixture(boot: 1, realtime: firstMicrosecond)
        let python = ["_TRANSPORT": "stdout", "_SYSTEMD_UNIT": "hass.service", "_PID": "10"]
        let other = ["_TRANSPORT": "stdout", "_SYSTEMD_UNIT": "other.service", "_PID": "11"]
        fixture.add("Traceback (most recent call last):", python)
        fixture.add("tick", other)
        fixture.add("  File \"a.py\", line 3, in <module>", python)
        fixture.add("tick", other)
        fixture.add("    main()", python)
        fixture.add("ValueError: no such thing", python)
        fixture.add("tick", other)
        try write(fixture)
        let reading = Reading(folder.path)
        let records = try reading.all()
        #expect(records.count(where: { $0.source == "other" }) == 3)
        let trace = records.filter { $0.source == "hass" }
        #expect(trace.count == 1)
        #expect(trace.first?.message.split(separator: "\n").count == 4)
        #expect(reading.reader.status.joinedCount == 3)
    }

    @Test func `the parts of a container's long line are one record`() throws {
        var fixture = JournalFixture(boot: 1, realtime: firstMicrosecond)
        func box(_ id: String, _ isPartial: Bool) -> [String: String] {
            [
                "CONTAINER_NAME": "box\(id)", "CONTAINER_ID_FULL": id,
                "CONTAINER_PARTIAL_MESSAGE": isPartial ? "true" : "",
            ]
        }
        fixture.add("first half ", box("1", true))
        fixture.add("another box", box("2", false))
        fixture.add("second half ", box("1", true))
        fixture.add("end", box("1", false))
        fixture.add("cut off by the end of the journal", box("1", true))
        try write(fixture)
        let records = try Reading(folder.path).all()
        #expect(
            records.map(\.message) == [
                "another box", "first half second half end", "cut off by the end of the journal",
            ]
        )
    }

    @Test func `our own lines are never read`() throws {
        var fixture = JournalFixture(boot: 1, realtime: firstMicrosecond)
        fixture.add("as packaged", ["_SYSTEMD_UNIT": "logboomd.service"])
        fixture.add("in the foreground", ["_PID": "4711"])
        fixture.add("in a unit of another name", ["_SYSTEMD_INVOCATION_ID": "00112233445566778899aabbccddeeff"])
        fixture.add("of somebody who takes our name", ["SYSLOG_IDENTIFIER": "logboomd", "_PID": "4712"])
        fixture.add("of systemd about us", ["_SYSTEMD_UNIT": "init.scope", "UNIT": "logboomd.service"])
        try write(fixture)
        let reading = Reading(
            folder.path,
            identity: OwnIdentity(processID: 4711, invocationID: "00112233445566778899aabbccddeeff")
        )
        #expect(try reading.all().map(\.message) == ["of somebody who takes our name", "of systemd about us"])
        #expect(reading.reader.status.ownCount == 3)
    }

    @Test func `an entry without a message is counted and left out`() throws {
        var fixture = JournalFixture(boot: 1, realtime: firstMicrosecond)
        fixture.add(nil)
        fixture.add("something")
        try write(fixture)
        let reading = Reading(folder.path)
        #expect(try reading.all().map(\.message) == ["something"])
        #expect(reading.reader.status.emptyCount == 1)
    }

    @Test func `units and the least priority choose what is read`() throws {
        var fixture = JournalFixture(boot: 1, realtime: firstMicrosecond)
        for unit in ["a", "b", "c"] {
            for priority in ["3", "4", "6"] {
                fixture.add("\(unit)\(priority)", ["_SYSTEMD_UNIT": "\(unit).service", "PRIORITY": priority])
            }
        }
        try write(fixture)
        let reading = Reading(folder.path, units: ["a.service", "c.service"], severityMin: .warn)
        #expect(try reading.all().map(\.message) == ["a3", "a4", "c3", "c4"])
    }

    // MARK: Places

    @Test func `after a cursor comes the next entry, neither the same again nor one later`() throws {
        try write(numbered(0..<1000))
        let first = Reading(folder.path)
        #expect(Self.numbers(try first.all().map(\.message)) == Array(0..<1000))
        #expect(first.chunkSizes.allSatisfy { $0 <= 256 })
        let cursors = first.cursors
        #expect(cursors.count == 4)
        #expect(
            Self.numbers(try Reading(folder.path, start: .after(cursors[1])).all().map(\.message)) == Array(512..<1000)
        )
        let last = Reading(folder.path, start: .after(cursors[3]))
        #expect(try last.all().isEmpty)
    }

    @Test func `a stretch ends with the entry of its end`() throws {
        try write(numbered(0..<1000))
        let all = Reading(folder.path)
        try all.all()
        let stretch = Reading(folder.path, start: .after(all.cursors[0]), through: all.cursors[1])
        try Wait.until("the stretch's end") { stretch.isLast }
        #expect(Self.numbers(stretch.messages) == Array(256..<512))
    }

    @Test func `the first start reads back as far as it was told`() throws {
        // The last second of the fixture's clock, by the test's now.
        try write(numbered(0..<100, realtime: 1_790_000_000_000_000 - 100_000))
        #expect(try Reading(folder.path, lookback: .milliseconds(50)).all().map(\.message).first == "entry number 50")
        #expect(try Reading(folder.path, lookback: .zero).all().isEmpty)
    }

    @Test func `several files are one journal`() throws {
        try write(numbered(0..<300), "system@1.journal")
        try write(numbered(300..<600, realtime: firstMicrosecond + 300_000), "system@2.journal")
        try write(numbered(600..<700, realtime: firstMicrosecond + 600_000))
        let reading = Reading(folder.path)
        #expect(Self.numbers(try reading.wait(for: 700).map(\.message)) == Array(0..<700))
    }

    @Test func `a file that appears while reading is read, and one that goes takes nothing twice`() throws {
        try write(numbered(0..<300), "system@1.journal")
        let reading = Reading(folder.path)
        try reading.wait(for: 300)
        try write(numbered(300..<600, realtime: firstMicrosecond + 300_000))
        try reading.wait(for: 600)
        try FileManager.default.removeItem(atPath: folder.file("system@1.journal"))
        try write(numbered(600..<700, realtime: firstMicrosecond + 600_000), "system@3.journal")
        try reading.wait(for: 700)
        #expect(Self.numbers(reading.messages) == Array(0..<700))
    }

    @Test func `when the entry of the cursor was vacuumed, reading goes on with what is left`() throws {
        try write(numbered(0..<300), "system@1.journal")
        try write(numbered(300..<600, realtime: firstMicrosecond + 300_000))
        let before = Reading(folder.path)
        try before.wait(for: 600)
        let cursor = before.cursors[0]
        try FileManager.default.removeItem(atPath: folder.file("system@1.journal"))
        let reading = Reading(folder.path, start: .after(cursor))
        #expect(Self.numbers(try reading.wait(for: 300).map(\.message)) == Array(300..<600))
        #expect(reading.reader.status.lostPlaceCount == 1)
    }

    @Test func `an entry that a power cut took from the journal is not waited for`() throws {
        // The cursor is of entry 299; what journald had not synced is gone, and the next boot goes on.
        try write(numbered(0..<300))
        let before = Reading(folder.path)
        try before.wait(for: 300)
        let cursor = try #require(before.cursors.last)
        try write(numbered(0..<290))
        try write(numbered(300..<320, boot: 2, realtime: firstMicrosecond + 400_000), "system@2.journal")
        let reading = Reading(folder.path, start: .after(cursor))
        #expect(Self.numbers(try reading.wait(for: 20).map(\.message)) == Array(300..<320))
    }

    @Test func `a boot whose clock was behind loses none of its first lines`() throws {
        // No battery: the second boot begins a minute before the end of the first, and its clock is set later on.
        try write(numbered(0..<300), "system@1.journal")
        let before = Reading(folder.path)
        try before.wait(for: 300)
        let cursor = try #require(before.cursors.first)
        var second = JournalFixture(boot: 2, realtime: firstMicrosecond - 60_000_000)
        for number in 300..<400 { second.add("entry number \(number)") }
        second.realtime = firstMicrosecond + 3_600_000_000
        for number in 400..<500 { second.add("entry number \(number)") }
        try write(second)
        let reading = Reading(folder.path, start: .after(cursor))
        #expect(Self.numbers(try reading.wait(for: 244).map(\.message)) == Array(256..<500))
        try reading.all()
        #expect(reading.messages.count == 244)
    }

    @Test func `a clock that jumps within a boot changes nothing`() throws {
        var fixture = JournalFixture(boot: 1, realtime: 1_460_000_000_000_000)
        for number in 0..<300 { fixture.add("entry number \(number)") }
        fixture.realtime = firstMicrosecond
        for number in 300..<600 { fixture.add("entry number \(number)") }
        try write(fixture)
        let all = Reading(folder.path)
        #expect(Self.numbers(try all.wait(for: 600).map(\.message)) == Array(0..<600))
        let reading = Reading(folder.path, start: .after(all.cursors[0]))
        #expect(Self.numbers(try reading.wait(for: 344).map(\.message)) == Array(256..<600))
    }

    // MARK: Damage

    @Test func `a file cut short or overwritten costs its own entries and no others`() throws {
        try write(numbered(0..<300), "system@1.journal")
        try write(numbered(300..<600, realtime: firstMicrosecond + 300_000))
        let path = folder.file("system@1.journal")
        let whole = try Data(contentsOf: URL(fileURLWithPath: path))
        var generator = SeededGenerator(seed: 1)
        for round in 0..<24 {
            var bytes = whole
            if round.isMultiple(of: 3) {
                bytes = bytes.prefix(Int.random(in: 0..<bytes.count, using: &generator))
            } else {
                for _ in 0..<200 {
                    bytes[Int.random(in: 0..<bytes.count / 8, using: &generator)] = UInt8.random(
                        in: 0...255,
                        using: &generator
                    )
                }
            }
            try bytes.write(to: URL(fileURLWithPath: path), options: .atomic)
            let reading = Reading(folder.path)
            try reading.all()
            let tail = Self.numbers(reading.messages).filter { $0 >= 300 }
            #expect(tail == Array(300..<600), "round \(round)")
        }
    }

    @Test func `a file that is cut short while it is being read ends nobody, and what lies in others is read`() throws {
        try write(numbered(0..<3_000), "system@1.journal")
        try write(numbered(3_000..<3_300, realtime: firstMicrosecond + 3_000_000))
        let path = folder.file("system@1.journal")
        // On the journal's own thread, between two reads: the pages behind the cut are mapped, and gone.
        let reading = Reading(folder.path, afterFirstChunk: { _ = truncate(path, 64 * 1024) })
        try Wait.until("the other file; status: \(reading.reader.status)", .seconds(30)) {
            reading.messages.last == "entry number 3299"
        }
        let numbers = Self.numbers(reading.messages)
        #expect(numbers.filter { $0 >= 3_000 } == Array(3_000..<3_300))
        #expect(numbers.count < 3_300, "the cut took entries")
        try Wait.until("the lost pages to be counted", .seconds(10)) { reading.reader.status.lostPageCount > 0 }
    }

    @Test func `a folder without a journal is no error, and one that is missing is tried again`() throws {
        let empty = Reading(folder.path)
        #expect(try empty.all().isEmpty)
        let later = Reading(folder.file("later"))
        try Wait.until("an error") { later.reader.status.errorCount > 0 }
        #expect(later.reader.status.lastError?.contains("later") == true)
        try FileManager.default.createDirectory(atPath: folder.file("later"), withIntermediateDirectories: false)
        try numbered(0..<3).write(to: folder.file("later/system.journal"))
        #expect(Self.numbers(try later.wait(for: 3).map(\.message)) == [0, 1, 2])
    }

    @Test func `a reader that waits for entries does not wake up`() throws {
        try write(numbered(0..<10))
        let reading = Reading(folder.path)
        try reading.all()
        func switches() throws -> Int {
            for task in try FileManager.default.contentsOfDirectory(atPath: "/proc/self/task") {
                let status = (try? String(contentsOfFile: "/proc/self/task/\(task)/status", encoding: .utf8)) ?? ""
                guard status.hasPrefix("Name:\tjournal\n") else { continue }
                let line = status.split(separator: "\n").first { $0.hasPrefix("voluntary_ctxt_switches") }
                guard let line, let count = Int(line.split(separator: "\t")[1]) else { continue }
                counts.append(count)
            }
            defer { counts = [] }
            return counts.reduce(0, +)
        }
        var counts: [Int] = []
        let before = try switches()
        // Another test's reader may be at work on a thread of the same name: two seconds in which none of them wakes.
        try Wait.until("two quiet seconds", .seconds(60)) {
            let start = try switches()
            _ = poll(nil, 0, 2000)
            return try switches() == start
        }
        #expect(before > 0)
    }

    @Test func `closing answers, also while a read waits`() async throws {
        try write(numbered(0..<10))
        let reading = Reading(folder.path)
        try reading.all()
        await withCheckedContinuation { done in reading.reader.close { done.resume() } }
    }
}

struct JournalAccessTests {
    @Test func `without a journal there is nothing to read`() throws {
        let folder = try TemporaryDirectory()
        #expect(JournalAccess.look(in: [folder.path, folder.file("none")]) == .absent)
    }

    @Test func `a machine's journal that can be read is allowed`() throws {
        let folder = try TemporaryDirectory()
        let machine = folder.file(String(repeating: "a", count: 32))
        try FileManager.default.createDirectory(atPath: machine, withIntermediateDirectories: false)
        #expect(JournalAccess.look(in: [folder.path]) == .absent)
        try Data().write(to: URL(fileURLWithPath: machine + "/system.journal"))
        #expect(JournalAccess.look(in: [folder.path]) == .allowed)
        #expect(JournalAccess.allowed.advice == nil)
    }

    @Test(.enabled(if: geteuid() != 0, "root may read everything"))
    func `a journal of others is denied, with what to do`() throws {
        let folder = try TemporaryDirectory()
        let machine = folder.file(String(repeating: "a", count: 32))
        try FileManager.default.createDirectory(atPath: machine, withIntermediateDirectories: false)
        let path = machine + "/system.journal"
        try Data().write(to: URL(fileURLWithPath: path))
        chmod(path, 0)
        #expect(JournalAccess.look(in: [folder.path]) == .denied(path: path))
        #expect(JournalAccess.look(in: [folder.path]).advice?.contains("systemd-journal") == true)
    }
}
