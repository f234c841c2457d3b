import Foundation
import PipelineTesting
import Testing

/// A real file system of a few megabytes, full: a tmpfs that only the daemon sees, in a mount namespace of its own.
@Suite struct DiskFullTests {
    /// A launcher that mounts a tmpfs of 8 MiB over the state directory and runs `script` there, then becomes the daemon; `nil`,
    /// said in the log, when this machine does not allow it.
    private static func launcher(_ state: TemporaryDirectory, _ script: String = ":") throws -> [String]? {
        guard let unshare = Programs.installed("unshare") else {
            print("skipped: unshare(1) is not installed")
            return nil
        }
        // As root a mount namespace is enough; others need to be root in a user namespace first.
        let flags = getuid() == 0 ? "-m" : "-rm"
        let mount = "mount -t tmpfs -o size=8m none '\(state.path)' && cd '\(state.path)'"
        let trial = try ChildProcess.run([unshare, flags, "/bin/sh", "-c", mount])
        guard trial.end == .exited(0) else {
            print("skipped: no tmpfs can be mounted here: \(trial.errors)")
            return nil
        }
        return [unshare, flags, "/bin/sh", "-c", "\(mount) && { \(script); } && cd / && exec \"$@\"", "sh"]
    }

    /// The state directory as the daemon sees it.
    private func inside(_ daemon: DaemonProcess) -> String {
        "/proc/\(daemon.child.processID)/root\(daemon.state.path)"
    }

    /// Writes until there is no room for a byte.
    private func fill(_ path: String) throws {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        guard descriptor >= 0 else { throw TestingError("make \(path): errno \(errno)") }
        defer { close(descriptor) }
        let zeros = [UInt8](repeating: 0, count: 64 * 1024)
        for size in [zeros.count, 4096, 1] { while write(descriptor, zeros, size) > 0 {} }
        #expect(errno == ENOSPC)
    }

    private func diskCheck(_ daemon: DaemonProcess) throws -> [String: Any]? {
        let checks = try daemon.get("/health")["checks"] as? [[String: Any]]
        return checks?.first { $0["name"] as? String == "disk" }
    }

    private func figure(_ daemon: DaemonProcess, _ name: String) throws -> Int {
        let line = try daemon.get("/metrics").text.split(separator: "\n").first { $0.hasPrefix(name + " ") }
        return line.flatMap { Int($0.dropFirst(name.count + 1)) } ?? -1
    }

    @Test
    func `on a full disk with PostgreSQL away it goes on in memory, refuses at the budget, and recovers by itself`()
        throws
    {
        // A server of its own, to be stopped: while it merely does not answer, batches nobody waits for stay in memory.
        let cluster = try PostgresCluster.start()
        let database = try TestDatabase(cluster)
        let state = try TemporaryDirectory()
        guard let launcher = try Self.launcher(state) else { return }
        let settings = database.settings().merging(["MEMORY_LIMIT": "4M"]) { $1 }
        let daemon = try DaemonProcess(settings, launcher: launcher, state: state)
        try daemon.postRecords(5, message: "disk is on fire", level: "ERROR")
        try cluster.stop(mode: .immediate)
        // Acknowledged by the spool while there is room.
        for _ in 0..<20 { try daemon.postRecords(5, message: "disk is on fire", level: "ERROR") }
        let spooled = try #require(try daemon.get("/stats").integer("records.spooled"))
        #expect(spooled > 0)
        #expect(try diskCheck(daemon)?["status"] as? String == "healthy")

        try fill(inside(daemon) + "/filler")
        // Records below the level are taken into memory until the budget is used up.
        var refused: HTTPTestAnswer?
        var taken = 105
        for round in 0..<400 where refused == nil {
            let records = (0..<200).map { number in
                let noise = String(repeating: "\(round) wide \(number) ", count: 40)
                return #"{"message":"cold start \#(noise)","level":"INFO","source":"unit-\#(round)-\#(number)"}"#
            }
            let answer = try daemon.post("/ingest", "[\(records.joined(separator: ","))]")
            taken += answer.integer("accepted") ?? 0
            if answer.status != 202 && answer.status != 200 { refused = answer }
        }
        let stats = try daemon.get("/stats")
        let refusal = try #require(refused, "\(stats.text)")
        #expect([429, 503].contains(refusal.status), "\(refusal.text)")
        #expect(refusal.headers["retry-after"] != nil, "\(refusal.headers)")
        let health = try daemon.get("/health")
        #expect(try diskCheck(daemon)?["status"] as? String == "degraded", "\(health.text)")
        #expect(try figure(daemon, "logboom_disk_refusals_total") > 0)
        #expect(try figure(daemon, "logboom_disk_free_bytes") < (8 << 20) / 20)
        try expectConservation(daemon)

        // Somebody makes room, and the database comes back.
        #expect(unlink(inside(daemon) + "/filler") == 0)
        try cluster.start()
        try daemon.flush()
        let last = try daemon.waitUntilDelivered(.seconds(40))
        #expect(last.integer("records.accepted") == taken)
        #expect(try database.total() == taken)
        #expect(
            try database.integer("SELECT sum(count) FROM aggregated_logs WHERE message_pattern = 'disk is on fire'")
                == 105
        )
        try Wait.until("/health to be healthy", .seconds(60)) {
            try daemon.get("/health").string("status") == "healthy" ? () : nil
        }
        try daemon.postRecords(1, message: "disk is on fire", level: "ERROR")
        try expectOrderlyEnd(daemon)
        #expect(try database.total() == taken + 1)
    }

    @Test func `batches in the spool of a disk that is full at the start are delivered when there is room`() throws {
        let database = try TestDatabase(.shared())
        let proxy = try FaultProxy(to: database.cluster.port)
        let settings = database.settings(port: proxy.port)
        let before = try TemporaryDirectory()
        let first = try DaemonProcess(settings, state: before)
        try first.postRecords(3, message: "disk is on fire", level: "ERROR")
        proxy.blackHole()
        try first.postRecords(40, message: "disk is on fire", level: "ERROR")
        first.kill9()
        proxy.restore()

        let state = try TemporaryDirectory()
        let script =
            "cp '\(before.path)'/logboom.db* '\(before.path)/node-id' . ; rm -f *-shm ; head -c 9m /dev/zero > filler 2> /dev/null || :"
        guard let launcher = try Self.launcher(state, script) else { return }
        let daemon = try DaemonProcess(settings, launcher: launcher, state: state)
        let health = try daemon.get("/health")
        #expect(health.string("status") == "degraded", "\(health.text)")
        try daemon.postRecords(2, message: "disk is on fire", level: "ERROR")
        #expect(unlink(inside(daemon) + "/filler") == 0)
        try Wait.until("45 records; \(daemon.log)", .seconds(30)) {
            try database.total() == 45 ? () : nil
        }
        try Wait.until("/health to be healthy", .seconds(60)) {
            try daemon.get("/health").string("status") == "healthy" ? () : nil
        }
        try daemon.waitUntilDelivered()
        try expectOrderlyEnd(daemon)
        #expect(try database.total() == 45)
    }
}
