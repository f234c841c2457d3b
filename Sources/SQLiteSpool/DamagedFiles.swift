internal import Glibc
internal import LogModel

/// Files that could not be used, kept beside the new one for a person: `logboom.db.damaged-20250115T103045Z`.
enum DamagedFiles {
    private static let infix = ".damaged-"

    /// Renames the database with its WAL, and drops the WAL index, which is rebuilt from it. Returns the new path; `nil` (and
    /// `errno`) when the rename was refused. Removes the oldest such files beyond the limit.
    static func moveAside(_ path: String, now: Timestamp) -> String? {
        guard let slash = path.lastIndex(of: "/") else { return nil }
        let directory = String(path[...slash])
        let prefix = String(path[path.index(after: slash)...]) + infix
        let older = names(in: directory, prefix: prefix)
        let base = prefix + stamp(now)
        // Several in one second, or at every start of a machine whose clock always begins anew: numbered upwards.
        let number = older.filter { $0.hasPrefix(base) }.compactMap { Int($0.dropFirst(base.count + 1)) ?? 1 }.max()
        let target = directory + (number.map { base + "-" + padded($0 + 1) } ?? base)
        guard rename(path, target) == 0 else { return nil }
        // A WAL that stayed behind would be taken for the new file's; if it cannot be moved, it must go.
        if rename(path + "-wal", target + "-wal") != 0, errno != ENOENT { removeAnything(path + "-wal") }
        removeAnything(path + "-shm")
        for name in older.sorted().dropLast(SpoolLimits.damagedFileCountMax - 1) {
            for suffix in ["", "-wal", "-shm"] { removeAnything(directory + name + suffix) }
        }
        return target
    }

    private static func padded(_ number: Int) -> String {
        String(repeating: "0", count: max(0, 3 - String(number).utf8.count)) + String(number)
    }

    /// `20250115T103045Z`: sorts by date and needs no quoting anywhere.
    private static func stamp(_ now: Timestamp) -> String {
        now.rfc3339.prefix(19).filter { $0 != "-" && $0 != ":" } + "Z"
    }

    private static func names(in directory: String, prefix: String) -> [String] {
        guard let stream = opendir(directory) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name.hasPrefix(prefix), !name.hasSuffix("-wal"), !name.hasSuffix("-shm") { names.append(name) }
        }
        return names
    }

    /// Removes a database with all that SQLite puts beside it.
    static func remove(_ path: String) {
        for suffix in ["", "-wal", "-shm", "-journal"] { removeAnything(path + suffix) }
    }

    /// A file or an empty directory; what cannot be removed stays, and costs only space.
    private static func removeAnything(_ path: String) {
        if unlink(path) != 0 { _ = rmdir(path) }
    }
}
