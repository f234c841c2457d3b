internal import Glibc

/// The file of a listening unix socket: what stands in its way, and who may open it.
enum UnixSocketFile {
    /// Its user and its group: who may enter beside them is root.
    private static let mode: mode_t = 0o660

    /// Runs `bind` with the place free: a file that a killed process left is removed, one that somebody answers at is not. No
    /// other process that asks here comes between, for its folder is locked meanwhile; a missing folder is made.
    ///
    /// - Parameter path: at most 107 bytes, as `sun_path` of unix(7) takes.
    static func prepare<Value>(
        _ path: String,
        bind: () throws -> Value
    ) throws -> Value {
        let folder = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? ""
        if !folder.isEmpty, mkdir(folder, 0o755) != 0, errno != EEXIST {
            throw failure(path, "make the folder \(folder)", code: errno)
        }
        let lock = open(folder.isEmpty ? "/" : folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard lock >= 0 else { throw failure(path, "open the folder \(folder)", code: errno) }
        // Closing it unlocks. Held for the time of a bind(2): nobody waits long.
        defer { close(lock) }
        while flock(lock, LOCK_EX) != 0, errno == EINTR {}
        try removeStale(path)
        let value = try bind()
        // Not by umask(2), which belongs to the whole process, where other threads make files. Until here the mode was what
        // the mask left of 777, and no less than the user's own.
        guard chmod(path, mode) == 0 else { throw failure(path, "set its mode", code: errno) }
        return value
    }

    private static func removeStale(_ path: String) throws {
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFSOCK else {
            throw HTTPServer.ListenError(
                description: "listen on unix:\(path): a file that is no socket is in the way",
                isInUse: true
            )
        }
        switch answer(at: path) {
        // Nobody listens: the process that did is gone.
        case ECONNREFUSED, ENOENT: unlink(path)
        // Somebody does, perhaps with a full queue.
        case 0, EAGAIN:
            throw HTTPServer.ListenError(
                description: "listen on unix:\(path): another process listens there",
                isInUse: true
            )
        case let code: throw failure(path, "see whether somebody listens", code: code)
        }
    }

    /// 0 when a connection is taken, else the error of connect(2). Does not wait.
    private static func answer(at path: String) -> Int32 {
        let descriptor = socket(
            AF_UNIX,
            Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue),
            0
        )
        guard descriptor >= 0 else { return errno }
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { target in
            target.copyBytes(from: path.utf8.prefix(target.count - 1))
        }
        let code = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        return code == 0 ? 0 : errno
    }

    private static func failure(_ path: String, _ attempt: String, code: Int32) -> HTTPServer.ListenError {
        HTTPServer.ListenError(
            description: "listen on unix:\(path): \(attempt): \(String(cString: strerror(code)))",
            isInUse: false
        )
    }
}
