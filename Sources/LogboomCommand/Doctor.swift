import ArgumentParser
import Glibc
import JSONBytes
import LogModel
import Settings

/// `logboom doctor`: what is wrong on this machine, and what to do about it.
struct Doctor: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Look for what is wrong on this machine, and say what to do about it.",
        discussion: """
            Looks at the configuration, the daemon, its database, disk and wear, clock, journal and memory limits. Waits for \
            nobody longer than a few seconds. As root it sees more: who holds a port, files of the daemon alone.

            Exit status: 0 all is well, 1 something works but not as it should, 2 something does not work.

            EXAMPLES
              sudo logboom doctor
              logboom doctor --json | jq -r '.findings[] | select(.advice) | .advice'
            """
    )

    /// What the daemon gets to answer in: it is on this machine.
    static let patience = Duration.seconds(5)

    @Flag(help: "Print JSON.")
    var json = false
    @Option(
        help: ArgumentHelp(
            "Look at this file and its .d folder instead of \(SettingsSource.standardPath).",
            valueName: "file"
        )
    )
    var config: String?
    @Option(help: "Colour what was found.")
    var color: ColorChoice = .auto
    @OptionGroup var daemon: DaemonOptions

    func run() throws {
        try reporting {
            let findings = try look()
            if json {
                Output.standard.writeJSON(DoctorReport.json(findings))
            } else {
                let style = Style(isColored: Output.standard.isColored(color))
                Output.standard.write(DoctorReport.lines(findings, style).joined(separator: "\n") + "\n")
            }
            switch DoctorReport.worst(findings) {
            case .ok, .note: break
            case .warning: throw CommandFailure(status: .failed, message: "")
            case .problem: throw CommandFailure(status: .unhealthy, message: "")
            }
        }
    }

    private func look() throws -> [Finding] {
        let checks = DoctorChecks()
        let machine = checks.machine
        // Secrets are for root and the daemon: whoever else looks must not be told that they are missing.
        let source = SettingsSource(configurationPath: config, environment: Output.environment)
        let loaded = geteuid() == 0 ? source.load() : source.loadWithoutSecrets()
        let settings = try? loaded.get().settings
        let client = try daemon.connect()
        var findings = checks.configuration(loaded)

        let health = Result { () throws(CommandFailure) in try client.get("/health", timeout: Self.patience).json }
        let ports = (settings?.listen ?? []).compactMap(\.port)
        findings += checks.daemon(health, ports: ports.isEmpty ? [8004] : ports)

        // The settings of this shell say nothing of the service's folder; only its file does.
        let folder = settings?.stateDirectory ?? "/var/lib/logboom"
        let isUp = (try? health.get()) != nil
        findings.append(checks.disk(geteuid() == 0 || config != nil ? folder : Self.folder(settings), isUp: isUp))
        if case .success = health, let stats = try? client.get("/stats", timeout: Self.patience).json,
            let wear = checks.wear(WearReport(stats: stats, secondOfDay: WearReport.secondOfDay()))
        {
            findings.append(wear)
        }
        findings.append(checks.clock(now: time(nil), isDisciplined: DoctorChecks.isClockDisciplined))
        findings.append(checks.pageSize(Int(getpagesize())))
        let process = machine.process(named: "logboomd")
        findings.append(checks.journal(daemon: process))
        if let memory = checks.memory(daemon: process, limit: settings?.memoryByteCountMax) { findings.append(memory) }
        return findings
    }

    /// The folder of the service, for a user who is not the service: the default differs by user.
    private static func folder(_ settings: Settings?) -> String {
        let packaged = "/var/lib/logboom"
        return access(packaged, F_OK) == 0 ? packaged : settings?.stateDirectory ?? packaged
    }
}

/// Findings as they are shown.
enum DoctorReport {
    static func worst(_ findings: [Finding]) -> Finding.Status {
        Finding.Status.allCases.last { status in findings.contains { $0.status == status } } ?? .ok
    }

    /// A line a finding, and one below it for what to do.
    static func lines(_ findings: [Finding], _ style: Style = Style(isColored: false)) -> [String] {
        let width = findings.reduce(0) { max($0, $1.check.count) }
        let statusWidth = Finding.Status.allCases.reduce(0) { max($0, $1.rawValue.count) }
        func padded(_ text: String, _ width: Int) -> String {
            text + String(repeating: " ", count: max(0, width - text.count))
        }
        return findings.flatMap { finding in
            let status = padded(finding.status.rawValue, statusWidth)
            let shown =
                switch finding.status {
                case .ok: style.health(.healthy, status)
                case .note: status
                case .warning: style.health(.degraded, status)
                case .problem: style.health(.unhealthy, status)
                }
            let line = "\(shown)  \(padded(finding.check, width))  \(finding.seen)"
            let indent = String(repeating: " ", count: statusWidth + width + 4)
            return [line] + (finding.advice.map { ["\(indent)-> \($0)"] } ?? [])
        }
    }

    /// `{"status", "findings": [{"check", "status", "seen", "advice"}]}`; `advice` is `null` when nothing has to be done.
    static func json(_ findings: [Finding]) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("status")
        writer.string(worst(findings).rawValue)
        writer.key("findings")
        writer.beginArray()
        for finding in findings {
            writer.beginObject()
            writer.key("check")
            writer.string(finding.check)
            writer.key("status")
            writer.string(finding.status.rawValue)
            writer.key("seen")
            writer.string(finding.seen)
            writer.key("advice")
            if let advice = finding.advice { writer.string(advice) } else { writer.null() }
            writer.endObject()
        }
        writer.endArray()
        writer.endObject()
        return writer.bytes
    }
}
