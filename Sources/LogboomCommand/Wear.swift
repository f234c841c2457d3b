import ArgumentParser
import Glibc
import JSONBytes

/// `logboom wear`: what the daemon writes to the disk.
struct Wear: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show how much the daemon writes to the disk or SD card.",
        discussion: """
            Reckoned from what the kernel counted for the daemon's process since it started (write_bytes of /proc/PID/io, \
            proc(5)): pages sent to the block layer. Day and year are that rate going on; they are not told in the first hour, \
            which a start makes untypical. What the card's own controller makes of it, and what the journal and PostgreSQL \
            write, is not in it.

            EXAMPLES
              logboom wear
              logboom wear --json | jq .year_bytes
            """
    )

    @Flag(help: "Print JSON.")
    var json = false
    @OptionGroup var daemon: DaemonOptions

    func run() throws {
        try reporting {
            let client = try daemon.connect()
            let stats = try client.get("/stats").json
            guard let report = WearReport(stats: stats, secondOfDay: WearReport.secondOfDay()) else {
                throw CommandFailure(
                    status: .failed,
                    message: "the kernel does not tell the daemon what it wrote (no /proc/PID/io)"
                )
            }
            if json {
                Output.standard.writeJSON(report.json)
            } else {
                Output.standard.write(report.lines.joined(separator: "\n") + "\n")
            }
        }
    }
}

/// Bytes written, and what that comes to.
struct WearReport: Equatable {
    /// By this process since it started.
    var writtenByteCount: Int
    var uptime: Int
    /// Seconds since midnight, local time.
    var secondOfDay: Int
    /// Of the state file.
    var fileByteCount: Int

    /// A start writes more than what follows: younger than this, a process has no rate that says anything of a day.
    static let uptimeMin = 3600

    /// `nil` when the daemon does not know.
    init?(stats: JSONValue, secondOfDay: Int) {
        guard let written = stats["disk_written_bytes"]?.integer, let uptime = stats["uptime_s"]?.integer else {
            return nil
        }
        writtenByteCount = max(0, written)
        self.uptime = max(0, uptime)
        self.secondOfDay = secondOfDay
        fileByteCount = stats["spool"]?["file_bytes"]?.integer ?? 0
    }

    /// Since midnight: all of it when the process began today, else its share by the rate.
    var todayByteCount: Int {
        uptime <= secondOfDay ? writtenByteCount : Int(Double(writtenByteCount) * Double(secondOfDay) / Double(uptime))
    }

    /// In a day, at the rate since the start; `nil` in the first hour.
    var dayByteCount: Int? { atThisRate(seconds: 86_400) }

    var yearByteCount: Int? { atThisRate(seconds: 86_400 * 365) }

    private func atThisRate(seconds: Double) -> Int? {
        guard uptime >= Self.uptimeMin else { return nil }
        return Int((Double(writtenByteCount) * seconds / Double(uptime)).rounded())
    }

    var sentence: String {
        guard let dayByteCount, let yearByteCount else {
            return "\(basis); what that makes a day is told after an hour"
        }
        return
            "\(StatusReport.byteText(dayByteCount)) a day, \(StatusReport.byteText(yearByteCount)) a year at this rate"
    }

    private var basis: String {
        "\(StatusReport.byteText(writtenByteCount)) in \(StatusReport.span(Double(uptime)))"
    }

    var lines: [String] {
        let share = uptime <= secondOfDay ? "" : " (by the rate)"
        return [
            "today       \(StatusReport.byteText(todayByteCount))\(share)",
            "a day       \(dayByteCount.map(StatusReport.byteText) ?? "told after an hour")",
            "a year      \(yearByteCount.map(StatusReport.byteText) ?? "told after an hour")",
            "reckoned    from \(basis), since logboomd started",
            "state file  \(StatusReport.byteText(fileByteCount))",
        ]
    }

    var json: [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        let figures: [(String, Int?)] = [
            ("written_bytes", writtenByteCount), ("uptime_s", uptime), ("today_bytes", todayByteCount),
            ("day_bytes", dayByteCount), ("year_bytes", yearByteCount), ("state_file_bytes", fileByteCount),
        ]
        for (name, value) in figures {
            writer.key(text: name)
            if let value { writer.integer(value) } else { writer.null() }
        }
        writer.endObject()
        return writer.bytes
    }

    /// Local time.
    static func secondOfDay() -> Int {
        var now = time(nil)
        var parts = tm()
        localtime_r(&now, &parts)
        return Int(parts.tm_hour) * 3600 + Int(parts.tm_min) * 60 + Int(parts.tm_sec)
    }
}
