import CShims
import Glibc
import JSONBytes
import Settings

/// What one look found, and what to do about it.
struct Finding: Equatable {
    /// In the order of how bad it is.
    enum Status: String, CaseIterable {
        /// As it should be.
        case ok
        /// Worth knowing; nothing has to be done.
        case note
        /// Works, but not as it should, or not for long.
        case warning
        /// Does not work.
        case problem
    }

    var check: String
    var status: Status
    /// What was seen; foreign text in it was cleaned.
    var seen: String
    /// What to do; nothing when all is well.
    var advice: String?

    init(_ check: String, _ status: Status, _ seen: String, advice: String? = nil) {
        self.check = check
        self.status = status
        self.seen = seen
        self.advice = advice
    }
}

/// The looks of `logboom doctor`, each from what it is given to what it found. None waits.
struct DoctorChecks {
    var machine = Machine()

    // MARK: Configuration

    func configuration(_ loaded: Result<LoadedSettings, SettingsProblems>) -> [Finding] {
        switch loaded {
        case .failure(let problems):
            let shown = problems.errors.map { DisplayText.clean($0.description, widthMax: 300) }
            let more = shown.count > 1 ? " (and \(shown.count - 1) more)" : ""
            return [
                Finding(
                    "configuration",
                    .problem,
                    "the daemon would not start: \(shown[0])\(more)",
                    advice: "logboom config --check lists every error; then systemctl restart logboomd"
                )
            ]
        case .success(let loaded):
            var findings = loaded.warnings.map { warning in
                Finding(
                    "configuration",
                    .warning,
                    DisplayText.clean(warning.description, widthMax: 300),
                    advice: "logboom config"
                )
            }
            if findings.isEmpty { findings.append(Finding("configuration", .ok, "no error")) }
            return findings + passwordInOpenFile(loaded)
        }
    }

    private func passwordInOpenFile(_ loaded: LoadedSettings) -> [Finding] {
        guard let value = loaded.values.first(where: { $0.key == .postgresPassword }), !value.text.isEmpty else {
            return []
        }
        let path: String
        switch value.origin {
        case .file(let name, _): path = name
        case .secretFile(let name): path = name
        case .standard, .environment, .flag, .credential: return []
        }
        guard let mode = machine.mode(path), mode & 0o004 != 0 else { return [] }
        return [
            Finding(
                "password",
                .warning,
                "every user of this machine can read the password of PostgreSQL in \(DisplayText.clean(path, widthMax: 200))",
                advice: "put it into /etc/credstore/logboom.postgres-password (mode 600) and take it out of that file"
            )
        ]
    }

    // MARK: Daemon

    /// `answer`: what `/health` said, or why there was no answer.
    func daemon(_ answer: Result<JSONValue, CommandFailure>, ports: [Int]) -> [Finding] {
        switch answer {
        case .failure(let failure):
            let reason = failure.message.split(separator: "\n").first.map(String.init) ?? ""
            return [Finding("daemon", .problem, DisplayText.clean(reason, widthMax: 300), advice: adviceToStart(ports))]
        case .success(let health):
            var findings: [Finding] = []
            let status = StatusReport.health(health)
            let version = DisplayText.clean(health["version"]?.string ?? "of an unknown version", widthMax: 40)
            findings.append(
                Finding("daemon", status == .unhealthy ? .problem : .ok, "logboomd \(version) is \(status.rawValue)")
            )
            for check in health["checks"]?.array ?? [] {
                guard let condition = check["status"]?.string.flatMap(Health.init), condition != .healthy else {
                    continue
                }
                let name = DisplayText.clean(check["name"]?.string ?? "check", widthMax: 40)
                // The database has a finding of its own.
                guard name != "store" else { continue }
                findings.append(
                    Finding(
                        name,
                        condition == .unhealthy ? .problem : .warning,
                        DisplayText.clean(check["detail"]?.string ?? "", widthMax: 300),
                        advice: Self.adviceByCheck[name] ?? "journalctl -u logboomd says more"
                    )
                )
            }
            return findings + database(health["database"])
        }
    }

    private static let adviceByCheck = [
        "forward": "see that the analytics node runs and can be reached; nothing is lost meanwhile",
        "memory": "more than can be delivered comes in: look at logboom top, or raise MEMORY_LIMIT",
        "disk": "make room on that file system, or set STATE_DIRECTORY to another",
        "spool": "see why the database is away; counts are kept, times get coarser",
        "dead_letters": "logboom dead-letters lists them with the reason",
        "state": "journalctl -u logboomd says what happened to the state file",
    ]

    private func adviceToStart(_ ports: [Int]) -> String {
        for port in ports {
            guard let inode = machine.listeningSocket(port: port) else { continue }
            guard let holder = machine.holder(ofSocket: inode) else {
                return "something listens on port \(port) already; sudo logboom doctor says what"
            }
            switch holder.name {
            case "logboomd":
                return "process \(holder.number) is logboomd and does not answer: journalctl -u logboomd -n 20"
            case "systemd": return "the socket is there and the daemon is not: journalctl -u logboomd -n 20"
            default:
                return
                    "process \(holder.number) (\(DisplayText.clean(holder.name, widthMax: 20))) has port \(port): stop it, or "
                    + "choose another in LISTEN"
            }
        }
        return "systemctl start logboomd; if it does not stay, journalctl -u logboomd -n 20 says why"
    }

    private func database(_ database: JSONValue?) -> [Finding] {
        guard let database else { return [] }
        let kind = DisplayText.clean(database["kind"]?.string ?? "", widthMax: 40)
        let version = DisplayText.clean(database["server_version"]?.string ?? "", widthMax: 40)
        let isConnected = database["connected"]?.bool == true
        let error = DisplayText.clean(database["last_error"]?.string ?? "", widthMax: 300)
        if kind == "embedded" {
            return isConnected
                ? [Finding("database", .note, "patterns are kept on this machine (embedded store)", advice: nil)]
                : [
                    Finding(
                        "database",
                        .problem,
                        "the embedded store does not work: \(error)",
                        advice: Self.adviceByCheck["state"]
                    )
                ]
        }
        if isConnected {
            let seen = "PostgreSQL \(version) answers" + (error.isEmpty ? "" : "; the last error was: \(error)")
            // An old error may be mended long since; a lane that recovers says so itself.
            return [Finding("database", database["state"]?.string == "connected" ? .ok : .warning, seen, advice: nil)]
        }
        return [
            Finding("database", .problem, "PostgreSQL is away: \(error)", advice: Self.adviceToConnect(error))
        ]
    }

    /// What to do about an error of a connection, by PostgreSQL's SQLSTATE (Appendix A) or the words of the system.
    static func adviceToConnect(_ error: String) -> String {
        let known: [(mark: String, advice: String)] = [
            (
                "28P01",
                "the password is wrong: put the right one into /etc/credstore/logboom.postgres-password, then systemctl restart logboomd"
            ),
            ("28000", "the server does not let this role in from here: see pg_hba.conf there"),
            ("3D000", "on the server: createdb logboom --owner logboom (or set POSTGRES_DB)"),
            (
                "42501",
                "the role lacks a right: ALTER DATABASE logboom OWNER TO logboom, or see docs/postgresql.md in /usr/share/doc/logboom"
            ),
            ("53300", "the server has no connection left: raise max_connections there"),
            (
                "ECONNREFUSED",
                "nobody listens there: is PostgreSQL running, and does listen_addresses name that address?"
            ),
            ("refused", "nobody listens there: is PostgreSQL running, and does listen_addresses name that address?"),
            ("57P01", "the server was stopped: is PostgreSQL running? see systemctl status postgresql there"),
            (
                "57P03",
                "the server is starting or stopping: it is tried again by itself; if this stays, is PostgreSQL running?"
            ),
            (
                "closed the connection",
                "the server went away: is PostgreSQL running? see systemctl status postgresql there"
            ),
            ("could not translate", "the name in POSTGRES_HOST is not known: try the address"),
            ("No such file", "there is no socket in the folder of POSTGRES_HOST: is PostgreSQL running?"),
            ("timeout", "no answer from that address: is it right, and does a firewall let port 5432 through?"),
            (
                "TIMEOUT",
                "no answer in time: is the server busy, is POSTGRES_HOST right, does a firewall stand between?"
            ),
        ]
        return known.first { error.contains($0.mark) }?.advice
            ?? "see POSTGRES_HOST and its neighbours in logboom config; what waits for the server is kept meanwhile"
    }

    // MARK: Disk

    /// - Parameter isUp: the daemon answers, so it has its state somewhere.
    func disk(_ path: String, isUp: Bool = false) -> Finding {
        let shown = DisplayText.clean(path, widthMax: 200)
        var space = statvfs()
        guard statvfs(machine.root + path, &space) == 0 else {
            if errno == EACCES {
                return Finding("disk", .note, "\(shown) is not for this user", advice: "sudo logboom doctor")
            }
            if errno == ENOENT, isUp {
                return Finding(
                    "disk",
                    .note,
                    "there is no \(shown): the daemon has its state elsewhere",
                    advice: "logboom doctor --config FILE, if it was started with a file of its own"
                )
            }
            return Finding(
                "disk",
                .problem,
                "\(shown): \(String(cString: strerror(errno)))",
                advice: "systemctl start logboomd makes it, or set STATE_DIRECTORY"
            )
        }
        return Self.disk(
            shown,
            free: Int(space.f_bavail) * Int(space.f_frsize),
            total: Int(space.f_blocks) * Int(space.f_frsize),
            isReadOnly: space.f_flag & UInt(ST_RDONLY) != 0,
            fileSystem: machine.fileSystem(of: path) ?? ""
        )
    }

    /// `free` and `total` in bytes; `fileSystem` as proc(5), `/proc/PID/mounts`, names it.
    static func disk(_ path: String, free: Int, total: Int, isReadOnly: Bool, fileSystem: String) -> Finding {
        let seen = "\(StatusReport.byteText(free)) of \(StatusReport.byteText(total)) free where \(path) is"
        if isReadOnly {
            return Finding(
                "disk",
                .problem,
                "\(path) cannot be written: its file system is read-only",
                advice: "mount it writable, or set STATE_DIRECTORY"
            )
        }
        // What the spool leaves to others (docs/operations.md): 64 MiB, or a twentieth of a small file system.
        if free < min(64 << 20, total / 20) {
            return Finding("disk", .problem, seen + ": the spool takes nothing", advice: adviceByCheck["disk"])
        }
        if free < 512 << 20, free < total / 10 { return Finding("disk", .warning, seen, advice: adviceByCheck["disk"]) }
        if ["tmpfs", "ramfs", "overlay"].contains(fileSystem) {
            return Finding(
                "disk",
                .warning,
                seen + ", on \(fileSystem): what is there may not outlive a restart of the machine",
                advice: "set STATE_DIRECTORY to a folder on the card or a disk, if counts shall stay"
            )
        }
        return Finding("disk", .ok, seen)
    }

    func wear(_ wear: WearReport?) -> Finding? {
        guard let wear else { return nil }
        // A card of 32 GB with 3,000 cycles takes some 96 TB in the best of cases, a thousandth of it with small writes.
        let isMuch = wear.dayByteCount.map { $0 > 1 << 30 } ?? false
        return Finding(
            "wear",
            isMuch ? .warning : .ok,
            wear.sentence,
            advice: isMuch
                ? "see why batches go to disk: a database that is away, or DURABLE_LEVEL below error without PostgreSQL"
                : nil
        )
    }

    // MARK: Machine

    func clock(now: Int, isDisciplined: Bool) -> Finding {
        // 2026-01-01: the program was not there before.
        if now < 1_767_225_600 {
            return Finding(
                "clock",
                .problem,
                "the clock is years behind",
                advice: "timedatectl status; a Pi without a battery needs the network to know the time"
            )
        }
        return isDisciplined
            ? Finding("clock", .ok, "set, and kept right")
            : Finding(
                "clock",
                .warning,
                "nobody keeps the clock right: stamps count as guessed for ten minutes after each boot",
                advice: "timedatectl set-ntp true, or install chrony"
            )
    }

    static var isClockDisciplined: Bool { logboom_clock_is_disciplined() != 0 }

    func pageSize(_ count: Int) -> Finding {
        Finding("pages", .ok, "memory pages of \(count / 1024) KiB")
    }

    func journal(daemon process: Int?) -> Finding {
        let isPersistent = machine.exists("/var/log/journal")
        guard isPersistent || machine.exists("/run/log/journal") else {
            return Finding(
                "journal",
                .warning,
                "there is no journal of systemd on this machine",
                advice: "systemctl status systemd-journald"
            )
        }
        let kept = isPersistent ? "kept on disk" : "kept in memory until the next boot"
        guard let process, let group = machine.groupNumber("systemd-journal"),
            let groups = machine.status(of: process, "Groups")
        else {
            return Finding("journal", .ok, "there, \(kept)")
        }
        let numbers = groups.split(separator: " ").compactMap { Int($0) }
        let isRoot = machine.status(of: process, "Uid")?.hasPrefix("0\t") == true
        return numbers.contains(group) || isRoot
            ? Finding("journal", .ok, "the daemon may read it; it is \(kept)")
            : Finding(
                "journal",
                .warning,
                "the daemon is not in the group systemd-journal and cannot read the journal",
                advice: "SupplementaryGroups=systemd-journal in the unit; the packaged one has it"
            )
    }

    /// Whether the kernel holds the daemon to `MemoryMax=`, and whether that leaves room for `MEMORY_LIMIT`.
    func memory(daemon process: Int?, limit: Int?) -> Finding? {
        guard let process, let group = machine.controlGroup(of: process) else { return nil }
        let own = limit.map { "; MEMORY_LIMIT is \(StatusReport.byteText($0))" } ?? ""
        guard group.hasSuffix(".service") else {
            return Finding("memory limit", .note, "the daemon is not a service of systemd\(own)")
        }
        guard let text = machine.text("/sys/fs/cgroup\(group)/memory.max") else {
            return Finding(
                "memory limit",
                .note,
                "this kernel does not count memory by service: MemoryMax= bounds nothing, the daemon bounds itself\(own)",
                advice: machine.exists("/boot/firmware/cmdline.txt")
                    ? "to have both: cgroup_enable=memory in /boot/firmware/cmdline.txt, and reboot" : nil
            )
        }
        guard let most = Int(text.prefix { $0 != "\n" }) else {
            return Finding("memory limit", .note, "the service has no MemoryMax=\(own)")
        }
        // Beside records: the program itself, bodies under way, SQLite's and libpq's buffers.
        let room = 24 << 20
        if let limit, limit + room > most {
            return Finding(
                "memory limit",
                .warning,
                "the kernel ends the daemon at \(StatusReport.byteText(most)), and MEMORY_LIMIT is \(StatusReport.byteText(limit))",
                advice:
                    "systemctl edit logboomd: MemoryMax= at least \(StatusReport.byteText(limit + room)), or a smaller MEMORY_LIMIT"
            )
        }
        return Finding("memory limit", .ok, "the kernel holds it to \(StatusReport.byteText(most))\(own)")
    }
}
