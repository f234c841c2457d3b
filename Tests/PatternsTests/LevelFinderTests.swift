import LogModel
import Patterns
import PipelineTesting
import Testing

private func level(in text: String) -> Severity? {
    level(in: Array(text.utf8))
}

private func level(in bytes: [UInt8]) -> Severity? {
    // A block of exactly the size, so that a sanitizer would notice a read past its end.
    let exact = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: bytes.count)
    defer { exact.deallocate() }
    _ = exact.initialize(from: bytes)
    return Severity.found(in: UnsafeBufferPointer(exact))
}

@Suite struct LevelFinderTests {
    @Test(arguments: [
        ("[ERROR] disk full", Severity.error),
        ("[error] 1234#5678: open() failed", .error),
        ("ERROR: relation \"orders\" does not exist", .error),
        ("Error: File not found: /path/file.txt", .error),
        ("error opening /dev/ttyUSB0", .error),
        ("2026-03-01 12:00:00,123 [main] WARN  com.example.Foo - slow", .warn),
        ("2026-03-01 12:00:00 ERROR disk full", .error),
        ("ts=1 level=warn msg=\"low battery\"", .warn),
        ("{\"level\":\"error\",\"msg\":\"x\"}", .error),
        ("{\"msg\":\"x\",\"severity\": \"WARNING\"}", .warn),
        ("log.level=debug x", .debug),
        ("loglevel: notice", .notice),
        ("WARN low battery", .warn),
        ("warning: unused variable", .warn),
        ("npm ERR! code ENOENT", .error),
        ("<3>usb 1-1: device descriptor read error", .error),
        ("<30>systemd[1]: Started x", .info),
        ("<0>Kernel dies", .fatal),
        ("E1121 12:00:00.123456       1 server.go:5] refused", .error),
        ("W0301 12:00:00 slow", .warn),
        ("I0301 12:00:00 ok", .info),
        ("panic: runtime error: index out of range", .fatal),
        ("Kernel panic - not syncing: VFS", .fatal),
        ("Traceback (most recent call last):", .error),
        ("ValueError: invalid literal", .error),
        ("Exception in x: java.io.IOException: closed", .error),
        ("node[12]: segfault at 0 ip 0000", .error),
        ("Out of memory: Killed process 12", .error),
        ("FATAL:  password authentication failed", .fatal),
        ("LOG:  checkpoint complete", .info),
        ("1 Mar 12:00:00 - [warn] [function:x] slow", .warn),
        ("1 Mar 12:00:00 - [info] Started flows", .info),
        ("Zigbee2MQTT:error  2026-03-01: adapter gone", .error),
        ("[2026-03-01 12:00:00] info: \tz2m: started", .info),
        ("DEBUG x", .debug),
        ("|CRITICAL| x", .fatal),
        ("(notice) x", .notice),
        ("sshd[1234]: fatal: Write failed", .fatal),
        ("sshd[1234]: error: Received disconnect", .error),
    ])
    func `a stated level is found`(message: String, expected: Severity) {
        #expect(level(in: message) == expected)
    }

    @Test(arguments: [
        "", " ", "0 errors", "0 errors, 0 warnings", "failover to node 2", "NoErrors", "error_count=0", "errors: 0",
        "completed with no error", "last error: none", "error: 0", "error count 5", "error-free run", "non-error path",
        "User 123 logged in", "the information desk", "debugging enabled", "traceroute done", "critically low",
        "brightness level=38", "level: 3", "water level: high", "alert user about this", "notice the difference",
        "info desk open", "x.error", "Terror: a film", "mirror: synced", "error:0A000086:SSL routines", "logger: x",
        "log rotated", "warnings off", "<999>x", "<>x", "<1", "<12x>", "E112 12:00", "X1121 12:00:00", "errör: x",
        "ERROR_CODE 5", "MYERROR x", "terrorism: x", "no ERROR found", "panic attack", "Traceback", "Oops", "0 ERROR",
    ])
    func `a text that states no level has none`(message: String) {
        #expect(level(in: message) == nil)
    }

    @Test func `the first statement wins`() {
        #expect(level(in: "INFO: last ERROR: x") == .info)
        #expect(level(in: "[warn] retry after error: x") == .warn)
    }

    @Test func `a bare capital word far from the head is only a word`() {
        let far = String(repeating: "word ", count: 40)
        #expect(level(in: far + "ERROR here") == nil)
        #expect(level(in: far + "level=error") == .error)
        #expect(level(in: String(repeating: "word ", count: 205) + "level=error") == nil)
    }

    @Test func `no bytes make it read outside or trap`() {
        let seed = SeededGenerator.seed(of: "levels")
        var messages = HostileMessages(
            seed: seed,
            corpus: ["E1121 12:00 x", "<3", "level=", "\"level\":\"", "ERROR", "panic:"].map { Array($0.utf8) }
        )
        var found = 0
        for _ in 0..<20_000 where level(in: messages.next()) != nil { found += 1 }
        #expect(found > 0)
        #expect(level(in: [UInt8](repeating: UInt8(ascii: "<"), count: 100_000)) == nil)
    }

    @Test func `most lines of the Loghub samples state no level by accident`() {
        // Their messages come without the header, so nearly all are bare of a level.
        let lines = loghubLines(suffix: ".log")
        guard !lines.isEmpty else { return }
        let stated = lines.count { level(in: $0) != nil }
        #expect(stated < lines.count)
    }
}
