internal import Glibc

/// Whether this process may read the system's journal. sd_journal_open(3) leaves out what may not be read, and says nothing.
package enum JournalAccess: Sendable, Equatable {
    case allowed
    /// There is no journal on this machine, or none yet.
    case absent
    /// What to do about it stands in ``advice``.
    case denied(path: String)

    /// Journald keeps its files in one of these, below the machine's id (systemd-journald.service(8)).
    private static let folders = ["/var/log/journal", "/run/log/journal"]

    /// Looks at the system's files. `folders` are for tests.
    package static func look(in given: [String]? = nil) -> JournalAccess {
        var isThere = false
        var deniedPath: String?
        for folder in given ?? folders {
            guard let machines = opendir(folder) else {
                if errno == EACCES { deniedPath = folder }
                continue
            }
            defer { closedir(machines) }
            while let entry = readdir(machines) {
                let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                    pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                // A machine's id has 32 hexadecimal digits (machine-id(5)); journald's own name space has no suffix.
                guard name.utf8.count == 32 else { continue }
                let path = "\(folder)/\(name)/system.journal"
                if access(path, R_OK) == 0 {
                    isThere = true
                } else if errno == EACCES {
                    deniedPath = path
                }
            }
        }
        if isThere { return .allowed }
        return deniedPath.map { .denied(path: $0) } ?? .absent
    }

    /// For the log; `nil` when nothing is to be done.
    package var advice: String? {
        switch self {
        case .allowed: nil
        case .absent: "there is no journal in /var/log/journal or /run/log/journal: is systemd-journald running here?"
        case .denied(let path):
            "\(path) may not be read: let the service's user into the group systemd-journal (the packaged unit has "
                + "SupplementaryGroups=systemd-journal; for a user: adduser USER systemd-journal)"
        }
    }
}
