import Foundation
import JSONBytes
import PipelineTesting
import Settings
import Testing

@testable import LogboomCommand

/// Runs `body` on a machine whose files are made up, and whose links are `links`.
private func withMachine<Answer>(
    _ files: [String: String],
    links: [String: String] = [:],
    _ body: (Machine) throws -> Answer
) throws -> Answer {
    let folder = try TemporaryDirectory()
    func prepare(_ path: String) throws -> URL {
        let file = URL(fileURLWithPath: folder.path + path)
        try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        return file
    }
    for (path, text) in files { try Data(text.utf8).write(to: prepare(path)) }
    for (path, target) in links {
        try FileManager.default.createSymbolicLink(atPath: prepare(path).path, withDestinationPath: target)
    }
    return try withExtendedLifetime(folder) { try body(Machine(root: folder.path)) }
}

private func json(_ text: String) throws -> JSONValue {
    try JSONValue.parse(Array(text.utf8))
}

@Suite struct DoctorTests {
    @Test func `the worst finding decides, and a note is no fault`() {
        let ok = Finding("a", .ok, "")
        let note = Finding("b", .note, "")
        let warning = Finding("c", .warning, "")
        let problem = Finding("d", .problem, "")
        #expect(DoctorReport.worst([]) == .ok)
        #expect(DoctorReport.worst([note, ok]) == .note)
        #expect(DoctorReport.worst([warning, note, ok]) == .warning)
        #expect(DoctorReport.worst([problem, warning, ok]) == .problem)
    }

    @Test func `each finding is a line, and what to do stands below it`() {
        let lines = DoctorReport.lines([
            Finding("clock", .ok, "set"), Finding("database", .problem, "away", advice: "start it"),
        ])
        #expect(
            lines == ["ok       clock     set", "problem  database  away", "                   -> start it"]
        )
    }

    @Test func `JSON says of each finding what was seen and what to do`() throws {
        let bytes = DoctorReport.json([Finding("clock", .ok, "set"), Finding("x", .warning, "a \"b\"", advice: "c")])
        let value = try JSONValue.parse(bytes)
        #expect(value["status"]?.string == "warning")
        #expect(value["findings"]?.array?.count == 2)
        #expect(value["findings"]?.array?[1]["seen"]?.string == "a \"b\"")
        #expect(value["findings"]?.array?[1]["advice"]?.string == "c")
        #expect(value["findings"]?.array?[0]["advice"]?.string == nil)
    }

    @Test func `every error of the configuration is counted, and what to do is said`() throws {
        let folder = try TemporaryDirectory()
        let path = folder.file("logboom.conf")
        try "BATCH_SIZ=5\nLOG_LEVEL=loud\n".write(toFile: path, atomically: false, encoding: .utf8)
        let loaded = SettingsSource(configurationPath: path, environment: [:], isRoot: true).load()
        let finding = try #require(DoctorChecks().configuration(loaded).first)
        #expect(finding.status == .problem)
        #expect(finding.seen.contains("BATCH_SIZ"))
        #expect(finding.seen.contains("and 1 more"))
        #expect(finding.advice?.contains("logboom config --check") == true)
    }

    @Test func `a password that every user can read is found, and one for few is not`() throws {
        let folder = try TemporaryDirectory()
        let path = folder.file("logboom.conf")
        try "POSTGRES_HOST=db\nPOSTGRES_PASSWORD=hunter2\nSTATE_DIRECTORY=/tmp\n"
            .write(toFile: path, atomically: false, encoding: .utf8)
        for (mode, isFound) in [(0o644, true), (0o640, false), (0o600, false)] {
            try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
            let loaded = SettingsSource(configurationPath: path, environment: [:], isRoot: true).load()
            let findings = DoctorChecks().configuration(loaded)
            #expect(findings.contains { $0.check == "password" && $0.status == .warning } == isFound, "\(findings)")
            #expect(!findings.contains { $0.seen.contains("hunter2") || $0.advice?.contains("hunter2") == true })
        }
    }

    @Test func `with no daemon and a free port the advice is to start it`() throws {
        let failure = CommandFailure(status: .unavailable, message: "logboomd does not answer\nmore")
        let findings = try withMachine(["/proc/net/tcp": "  sl  local_address rem_address   st\n"]) { machine in
            DoctorChecks(machine: machine).daemon(.failure(failure), ports: [8004])
        }
        #expect(findings.map(\.status) == [.problem])
        #expect(findings[0].seen == "logboomd does not answer")
        #expect(findings[0].advice?.hasPrefix("systemctl start logboomd") == true)
    }

    @Test(arguments: [
        ("node", "process 77 (node) has port 8004"), ("systemd", "the socket is there and the daemon is not"),
        ("logboomd", "process 77 is logboomd and does not answer"),
    ])
    func `who has the port instead is named`(name: String, expected: String) throws {
        let row =
            "   0: 0100007F:1F44 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0000 100 0 0 10 0\n"
        let files = [
            "/proc/net/tcp": "  sl  local_address rem_address   st\n" + row, "/proc/77/comm": name + "\n",
        ]
        let failure = CommandFailure(status: .unavailable, message: "away")
        let findings = try withMachine(files, links: ["/proc/77/fd/3": "socket:[4711]"]) { machine in
            DoctorChecks(machine: machine).daemon(.failure(failure), ports: [8004])
        }
        #expect(findings[0].advice?.contains(expected) == true, "\(findings)")
    }

    @Test func `what the daemon says of itself becomes findings, with the database apart`() throws {
        let health = try json(
            #"""
            {"status":"degraded","version":"0.1.0","checks":[
              {"name":"store","status":"degraded","detail":"away"},
              {"name":"memory","status":"healthy","detail":"fine"},
              {"name":"dead_letters","status":"degraded","detail":"2 dead letters"}],
             "database":{"kind":"postgresql","state":"away","connected":false,"server_version":"",
              "last_error":"connect to db:5432: 28P01 password authentication failed"}}
            """#
        )
        let findings = DoctorChecks().daemon(.success(health), ports: [])
        #expect(findings.map(\.check) == ["daemon", "dead_letters", "database"])
        #expect(findings.map(\.status) == [.ok, .warning, .problem])
        #expect(findings[2].advice?.contains("/etc/credstore/logboom.postgres-password") == true)
    }

    @Test func `without PostgreSQL the embedded store is worth a note`() throws {
        let health = try json(
            #"{"status":"healthy","version":"0.1.0","checks":[],"database":{"kind":"embedded","connected":true}}"#
        )
        #expect(DoctorChecks().daemon(.success(health), ports: []).map(\.status) == [.ok, .note])
    }

    @Test func `text from elsewhere cannot move the cursor`() throws {
        let health = try json(
            #"{"status":"degraded","version":"\u001b[2J","checks":[{"name":"x\u001b[1m","status":"degraded","detail":"\u0007"}]}"#
        )
        for finding in DoctorChecks().daemon(.success(health), ports: []) {
            #expect(!(finding.check + finding.seen).unicodeScalars.contains { $0.value < 0x20 }, "\(finding)")
        }
    }

    @Test(arguments: [
        (free: 20 << 30, total: 30 << 30, status: Finding.Status.ok), (free: 1 << 30, total: 30 << 30, status: .ok),
        (free: 400 << 20, total: 30 << 30, status: .warning), (free: 60 << 20, total: 30 << 30, status: .problem),
        (free: 60 << 20, total: 256 << 20, status: .ok),
    ])
    func `free space is judged by what the spool leaves to others`(free: Int, total: Int, status: Finding.Status) {
        let finding = DoctorChecks.disk("/x", free: free, total: total, isReadOnly: false, fileSystem: "ext4")
        #expect(finding.status == status, "\(finding)")
        #expect((finding.advice == nil) == (status == .ok))
    }

    @Test func `a read-only file system is a problem, one in memory a warning`() {
        func status(_ isReadOnly: Bool, _ fileSystem: String) -> Finding.Status {
            DoctorChecks.disk("/x", free: 1 << 34, total: 1 << 35, isReadOnly: isReadOnly, fileSystem: fileSystem)
                .status
        }
        #expect(status(true, "ext4") == .problem)
        #expect(status(false, "tmpfs") == .warning)
        #expect(status(false, "overlay") == .warning)
    }

    @Test func `the file system is that of the longest mount point above a path`() throws {
        let mounts =
            "/dev/mmcblk0p2 / ext4 rw 0 0\ntmpfs /var/lib tmpfs rw 0 0\n/dev/sda1 /var/lib/logboomer ext4 rw 0 0\n"
        try withMachine(["/proc/self/mounts": mounts]) { machine in
            #expect(machine.fileSystem(of: "/home") == "ext4")
            #expect(machine.fileSystem(of: "/var/lib/logboom") == "tmpfs")
            #expect(machine.fileSystem(of: "/var/library") == "ext4")
        }
    }

    @Test func `a state folder that is not there is a problem`() {
        #expect(DoctorChecks().disk("/nowhere/at/all").status == .problem)
        #expect(DoctorChecks().disk("/nowhere/at/all", isUp: true).status == .note)
    }

    @Test func `whether the kernel holds the daemon to its memory is told apart`() throws {
        let group = ["/proc/9/cgroup": "0::/system.slice/logboomd.service\n"]
        let file = "/sys/fs/cgroup/system.slice/logboomd.service/memory.max"
        func finding(_ files: [String: String], process: Int? = 9) throws -> Finding? {
            try withMachine(files) { DoctorChecks(machine: $0).memory(daemon: process, limit: 32 << 20) }
        }
        let uncounted = try finding(group)
        #expect(uncounted?.status == .note)
        #expect(uncounted?.advice == nil)
        let ofPi = try finding(group.merging(["/boot/firmware/cmdline.txt": "console=tty1\n"]) { $1 })
        #expect(ofPi?.advice?.contains("cgroup_enable=memory") == true)
        let cases: [(text: String, status: Finding.Status)] = [
            ("67108864\n", .ok), ("max\n", .note), ("41943040\n", .warning),
        ]
        for (text, status) in cases {
            #expect(try finding(group.merging([file: text]) { $1 })?.status == status, "\(text)")
        }
        #expect(try finding(["/proc/9/cgroup": "0::/user.slice/session.scope\n"])?.status == .note)
        #expect(try finding(group, process: nil) == nil)
    }

    @Test func `a daemon that may not read the journal is found`() throws {
        let files = ["/etc/group": "root:x:0:\nsystemd-journal:x:101:\n", "/var/log/journal/x": ""]
        for (groups, status) in [("101 998 ", Finding.Status.ok), ("998 ", .warning)] {
            let status9 = "Name:\tlogboomd\nUid:\t998\t998\t998\t998\nGroups:\t\(groups)\n"
            let finding = try withMachine(files.merging(["/proc/9/status": status9]) { $1 }) { machine in
                DoctorChecks(machine: machine).journal(daemon: 9)
            }
            #expect(finding.status == status, "\(groups)")
        }
        let bare = try withMachine([:]) { DoctorChecks(machine: $0).journal(daemon: nil) }
        #expect(bare.status == .warning)
    }

    @Test func `a clock before the program was made is a problem, one that nobody keeps right a warning`() {
        #expect(DoctorChecks().clock(now: 0, isDisciplined: true).status == .problem)
        #expect(DoctorChecks().clock(now: 1_795_000_000, isDisciplined: false).status == .warning)
        #expect(DoctorChecks().clock(now: 1_795_000_000, isDisciplined: true).status == .ok)
    }

    @Test(arguments: [
        "28P01", "3D000", "42501", "ECONNREFUSED", "could not translate host name", "timeout expired", "TIMEOUT",
        "57P01", "57P03", "server closed the connection unexpectedly",
    ])
    func `errors of a connection have advice of their own`(error: String) {
        #expect(DoctorChecks.adviceToConnect("connect: \(error)") != DoctorChecks.adviceToConnect("something else"))
    }
}

@Suite struct WearTests {
    private func report(written: Int, uptime: Int, secondOfDay: Int) throws -> WearReport {
        let stats = try json(#"{"disk_written_bytes":\#(written),"uptime_s":\#(uptime),"spool":{"file_bytes":4096}}"#)
        return try #require(WearReport(stats: stats, secondOfDay: secondOfDay))
    }

    @Test func `a process of today has written all of it today`() throws {
        let report = try report(written: 5000, uptime: 3600, secondOfDay: 40_000)
        #expect(report.todayByteCount == 5000)
        #expect(report.dayByteCount == 120_000)
        #expect(report.yearByteCount == 43_800_000)
    }

    @Test func `of a process of yesterday, today is its share by the rate`() throws {
        let report = try report(written: 2_000_000, uptime: 200_000, secondOfDay: 50_000)
        #expect(report.todayByteCount == 500_000)
        #expect(report.lines[0].contains("by the rate"))
    }

    @Test(arguments: [0, 1, 3599])
    func `a process that has just begun is not reckoned up to a year of starts`(uptime: Int) throws {
        let report = try report(written: 60_000, uptime: uptime, secondOfDay: 0)
        #expect(report.dayByteCount == nil)
        #expect(report.yearByteCount == nil)
        #expect(report.sentence.contains("after an hour"))
        #expect(String(decoding: report.json, as: UTF8.self).contains(#""day_bytes":null"#))
        #expect(DoctorChecks().wear(report)?.status == .ok)
    }

    @Test func `a daemon that cannot tell has no report`() throws {
        #expect(WearReport(stats: try json(#"{"disk_written_bytes":null,"uptime_s":5}"#), secondOfDay: 0) == nil)
        #expect(WearReport(stats: try json("{}"), secondOfDay: 0) == nil)
    }
}
