import ArgumentParser
import Glibc
import JSONBytes

/// `logboom status`: how the daemon is, for a person and, by its exit status, for a script.
struct Status: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Say how the daemon is.",
        discussion: """
            Exit status: 0 healthy, 1 degraded (PostgreSQL is away; records are safe in the spool), 2 unhealthy, 69 no \
            daemon there.

            EXAMPLES
              logboom status
              logboom status --wait 30 && echo ready
              logboom status --json | jq .stats.records
            """
    )

    @Option(help: ArgumentHelp("Wait up to so many seconds until it is healthy, 1 to 3600.", valueName: "seconds"))
    var wait: Int?
    @Flag(help: "Print the daemon's answers as {\"health\": …, \"stats\": …}.")
    var json = false
    @Option(help: "Colour the condition.")
    var color: ColorChoice = .auto
    @OptionGroup var daemon: DaemonOptions

    func validate() throws {
        if let wait, !(1...3600).contains(wait) {
            throw ValidationError("--wait is a number of seconds from 1 to 3600")
        }
    }

    func run() throws {
        try reporting {
            let client = try daemon.connect()
            let health = try awaitHealth(client)
            let stats = try client.get("/stats")
            let report = StatusReport(health: health.json, stats: stats.json)
            if json {
                var writer = JSONWriter()
                writer.beginObject()
                writer.key("health")
                health.json.write(to: &writer)
                writer.key("stats")
                stats.json.write(to: &writer)
                writer.endObject()
                Output.standard.writeJSON(writer.bytes)
            } else {
                let style = Style(isColored: Output.standard.isColored(color))
                Output.standard.write(report.lines(style).joined(separator: "\n") + "\n")
            }
            switch report.health {
            case .healthy: break
            case .degraded: throw CommandFailure(status: .failed, message: "")
            case .unhealthy: throw CommandFailure(status: .unhealthy, message: "")
            }
        }
    }

    /// The answer of `/health`; with `--wait` the first healthy one, or the last of any kind when time is up.
    private func awaitHealth(_ client: DaemonClient) throws(CommandFailure) -> DaemonClient.Answer {
        let clock = ContinuousClock()
        let deadline = clock.now.advanced(by: .seconds(wait ?? 0))
        while true {
            let isLast = clock.now >= deadline
            do throws(CommandFailure) {
                // A daemon that accepts but does not answer must not outlast the wait by much.
                let answer = try client.get("/health", timeout: wait == nil ? DaemonClient.timeout : .seconds(2))
                guard answer.json["status"]?.string != nil else {
                    throw client.refusal("/health", status: answer.status, json: answer.json)
                }
                if isLast || StatusReport.health(answer.json) == .healthy { return answer }
            } catch {
                if isLast || error.status != .unavailable { throw error }
            }
            _ = poll(nil, 0, 200)
        }
    }
}

/// The daemon's condition as `/health` words it.
enum Health: String, CaseIterable {
    case healthy, degraded, unhealthy
}

/// What `/health` and `/stats` say, for a person. Missing members leave their line out: the daemon may be older or newer.
struct StatusReport {
    private let healthJSON: JSONValue
    private let stats: JSONValue

    init(health: JSONValue, stats: JSONValue) {
        healthJSON = health
        self.stats = stats
    }

    var health: Health { Self.health(healthJSON) }

    /// An unknown word is taken for the worst.
    static func health(_ json: JSONValue) -> Health {
        json["status"]?.string.flatMap(Health.init) ?? .unhealthy
    }

    func lines(_ style: Style = Style(isColored: false)) -> [String] {
        let version = (healthJSON["version"] ?? stats["version"])?.string.map { " " + Self.clean($0) } ?? ""
        let uptime = (healthJSON["uptime_s"] ?? stats["uptime_s"])?.double.map { ", up \(Self.span($0))" } ?? ""
        var lines = ["logboomd\(version) is \(style.health(health, health.rawValue))\(uptime)"]
        func add(_ name: String, _ text: String?) {
            guard let text else { return }
            lines.append("  " + name + String(repeating: " ", count: max(1, 10 - name.count)) + text)
        }
        add("records", records)
        add("not taken", notTaken)
        add("journal", journal)
        add("patterns", patterns)
        add("database", database)
        add("forward", lane("forward", whenAbsent: "not configured"))
        add("spool", spool)
        add("memory", memory)
        for check in healthJSON["checks"]?.array ?? [] {
            guard let status = check["status"]?.string, !["ok", "healthy", "pass"].contains(status) else { continue }
            let detail = check["detail"]?.string.map { ": " + Self.clean($0) } ?? ""
            add("check", "\(Self.clean(check["name"]?.string ?? "unnamed")) is \(Self.clean(status))\(detail)")
        }
        return lines
    }

    private var records: String? {
        guard let records = stats["records"], let accepted = records["accepted"]?.integer else { return nil }
        var parts = ["\(Self.grouped(accepted)) accepted"]
        for (key, word) in [
            ("recovered", "recovered from the last run"), ("delivered", "delivered"), ("spooled", "spooled"),
            ("dead_lettered", "dead-lettered"), ("dropped", "dropped"), ("in_flight", "in flight"),
        ] {
            guard let count = records[key]?.integer, count != 0 || key == "delivered" else { continue }
            parts.append("\(Self.grouped(count)) \(word)")
        }
        return parts.joined(separator: ", ")
    }

    private var journal: String? {
        guard let journal = stats["journal"], let state = journal["state"]?.string else { return nil }
        switch state {
        case "off": return nil
        case "absent": return "none on this machine"
        case "denied": return "may not be read: let the service's user into the group systemd-journal"
        case "waiting": return "waits for PostgreSQL to say how far it was counted"
        default: break
        }
        var parts = ["\(Self.grouped(journal["entries"]?.integer ?? 0)) entries read"]
        if let lag = journal["lag_s"]?.double, lag > 0 { parts.append("\(Self.span(lag)) behind") }
        if let error = journal["last_error"]?.string, !error.isEmpty { parts.append(Self.clean(error)) }
        return parts.joined(separator: ", ")
    }

    private var notTaken: String? {
        let refused = stats["refused"]?.integer ?? 0
        let failed = stats["failed"]?.integer ?? 0
        guard refused != 0 || failed != 0 else { return nil }
        return "\(Self.grouped(refused)) refused for want of room, \(Self.grouped(failed)) not readable"
    }

    private var patterns: String? {
        guard let count = (stats["templates_loaded"] ?? healthJSON["templates_loaded"])?.integer else { return nil }
        let ratio =
            stats["aggregation_ratio"]?.double.map { $0 > 0 ? ", \(Self.decimal($0)) records a pattern" : "" } ?? ""
        return "\(Self.grouped(count)) known\(ratio)"
    }

    private var database: String? {
        guard let database = healthJSON["database"] else { return lane("store", whenAbsent: nil) }
        let kinds = ["embedded": "embedded store", "postgres": "PostgreSQL"]
        let kind = database["kind"]?.string.map { kinds[$0] ?? Self.clean($0) } ?? "unknown"
        let retry = stats["lanes"]?["store"]?["next_retry_s"]
        return kind
            + Self.condition(
                state: database["state"]?.string,
                error: database["last_error"]?.string,
                retry: retry?.double
            )
    }

    private func lane(_ name: String, whenAbsent: String?) -> String? {
        guard let lane = stats["lanes"]?[name], lane != .null else { return whenAbsent }
        let delivered = lane["delivered"]?.integer.map { "\(Self.grouped($0)) delivered" } ?? "in use"
        return delivered
            + Self.condition(
                state: lane["state"]?.string,
                error: lane["last_error"]?.string,
                retry: lane["next_retry_s"]?.double
            )
    }

    private var spool: String? {
        guard let spool = stats["spool"] ?? healthJSON["spool"], spool != .null else { return nil }
        let batches = spool["batches"]?.integer ?? 0
        guard batches != 0 else { return "empty" }
        let records = spool["records"]?.integer.map { " with \(Self.grouped($0)) records" } ?? ""
        let bytes = spool["bytes"]?.integer.map { ", \(Self.byteText($0)) on disk" } ?? ""
        return "\(Self.grouped(batches)) batches\(records) waiting\(bytes)"
    }

    private var memory: String? {
        guard let memory = stats["memory"], memory != .null else { return nil }
        var parts: [String] = []
        if let resident = memory["rss_bytes"]?.integer { parts.append("\(Self.byteText(resident)) resident") }
        if let used = memory["used_bytes"]?.integer, let budget = memory["budget_bytes"]?.integer {
            parts.append("\(Self.byteText(used)) of the budget of \(Self.byteText(budget)) used")
        }
        return parts.isEmpty ? nil : parts.joined(separator: ", ")
    }

    private static func condition(state: String?, error: String?, retry: Double?) -> String {
        var text = state.map { ", " + clean($0) } ?? ""
        if let error, !error.isEmpty { text += " (last error: \(clean(error)))" }
        if let retry, retry > 0 { text += ", next attempt in \(span(retry))" }
        return text
    }

    private static func clean(_ text: String) -> String { DisplayText.clean(text, widthMax: 200) }

    /// `1,204,567`.
    static func grouped(_ number: Int) -> String {
        var text = ""
        let digits = String(number.magnitude)
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index) % 3 == 0 { text += "," }
            text.append(digit)
        }
        return (number < 0 ? "-" : "") + text
    }

    /// One digit after the point, none when it is zero.
    static func decimal(_ number: Double) -> String {
        guard number.magnitude < 1e15 else { return "\(number)" }
        let tenths = Int((number * 10).rounded())
        return tenths % 10 == 0 ? grouped(tenths / 10) : "\(grouped(tenths / 10)).\(abs(tenths % 10))"
    }

    /// `512 B`, `14.2 MiB`.
    static func byteText(_ count: Int) -> String {
        for (unit, scale) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] where count >= scale {
            return "\(decimal(Double(count) / Double(scale))) \(unit)"
        }
        return "\(count) B"
    }

    /// `5 s`, `3 min 20 s`, `2 h 5 min`, `4 d 3 h`.
    static func span(_ seconds: Double) -> String {
        guard seconds.isFinite, seconds >= 0, seconds < 1e12 else { return "?" }
        let whole = Int(seconds.rounded())
        func two(_ major: Int, _ majorUnit: String, _ minor: Int, _ minorUnit: String) -> String {
            minor == 0 ? "\(major) \(majorUnit)" : "\(major) \(majorUnit) \(minor) \(minorUnit)"
        }
        switch whole {
        case ..<60: return "\(whole) s"
        case ..<3600: return two(whole / 60, "min", whole % 60, "s")
        case ..<86_400: return two(whole / 3600, "h", whole % 3600 / 60, "min")
        default: return two(whole / 86_400, "d", whole % 86_400 / 3600, "h")
        }
    }
}
