import Admission
import Glibc
import Settings

/// The tokens file on disk. Each change replaces the file as a whole, so that a daemon that reads it meanwhile finds the old
/// one or the new one; two changes at once come one after the other.
struct TokenStore {
    let path: String

    /// The tokens in it.
    func load() throws(CommandFailure) -> TokenSet {
        guard let bytes = try read() else { throw missing }
        return try parse(bytes)
    }

    /// Adds a token, and makes the file when it is missing.
    func add(_ token: AccessToken) throws(CommandFailure) {
        try change { (bytes) throws(CommandFailure) in
            var text = bytes ?? Array(Self.heading.utf8)
            let tokens = try parse(text).tokens
            guard !tokens.contains(where: { $0.name == token.name }) else {
                throw CommandFailure(
                    status: .failed,
                    message: "there is a token called \(token.name); revoke it first, or choose another name"
                )
            }
            guard tokens.count < TokenSet.countMax else {
                throw CommandFailure(status: .failed, message: "\(TokenSet.countMax) tokens are the most there may be")
            }
            if let last = text.last, last != 0x0A { text.append(0x0A) }
            return text + Array("\(TokenFile.line(token))\n".utf8)
        }
    }

    /// Takes a token out.
    func remove(_ name: String) throws(CommandFailure) {
        try change { (bytes) throws(CommandFailure) in
            guard let bytes else { throw missing }
            guard let rest = TokenFile.removing(name, from: bytes) else {
                throw CommandFailure(
                    status: .failed,
                    message: "there is no token called \(DisplayText.clean(name, widthMax: 70)) in \(shownPath)"
                )
            }
            return rest
        }
    }

    private static let heading = """
        # Tokens of logboomd: NAME SHA256 SCOPES [source=NAME] [rate=N] [burst=N]; docs/formats/tokens.md.
        # Made by "logboom token"; after a change by hand: systemctl reload logboomd.

        """

    private var shownPath: String { DisplayText.clean(path, widthMax: 300) }

    private var missing: CommandFailure {
        CommandFailure(status: .failed, message: "there is no \(shownPath); logboom token new NAME makes it")
    }

    private func failure(_ attempt: String, code: Int32) -> CommandFailure {
        let advice = code == EACCES || code == EPERM ? "; try sudo" : ""
        return CommandFailure(
            status: .failed,
            message: "\(attempt) \(shownPath): \(String(cString: strerror(code)))\(advice)"
        )
    }

    private func parse(_ bytes: [UInt8]) throws(CommandFailure) -> TokenSet {
        switch TokenFile.parse(bytes) {
        case .success(let set): return set
        case .failure(let problems):
            let lines = problems.all.map {
                $0.line == 0 ? "\(shownPath): \($0.what)" : "\(shownPath):\($0.line): \($0.what)"
            }
            throw CommandFailure(status: .misconfigured, message: lines.joined(separator: "\n"))
        }
    }

    /// `nil` when there is no such file.
    private func read() throws(CommandFailure) -> [UInt8]? {
        switch SettingsSource.readTokens(path) {
        case .success(let bytes): return bytes
        case .failure(.missing): return nil
        case .failure(.system(let code)): throw failure("read", code: code)
        case .failure(let problem):
            throw CommandFailure(status: .misconfigured, message: "read \(shownPath): \(problem.what)")
        }
    }

    /// Replaces the content under a lock on the folder.
    private func change(_ make: ([UInt8]?) throws(CommandFailure) -> [UInt8]) throws(CommandFailure) {
        let folder = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let lock = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard lock >= 0 else { throw failure("open the folder of", code: errno) }
        defer { close(lock) }
        while flock(lock, LOCK_EX) != 0, errno == EINTR {}
        let new = try make(try read())
        var status = stat()
        let isThere = stat(path, &status) == 0
        let temporary = path + ".new"
        unlink(temporary)
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw failure("write beside", code: errno) }
        var isClosed = false
        defer {
            if !isClosed { close(descriptor) }
            unlink(temporary)
        }
        // The daemon reads it as the user or the group that it has; a file that is there keeps both.
        if isThere {
            guard fchown(descriptor, status.st_uid, status.st_gid) == 0, fchmod(descriptor, status.st_mode & 0o777) == 0
            else { throw failure("keep the owner of", code: errno) }
        } else if geteuid() == 0, let group = getgrnam("logboom") {
            guard fchown(descriptor, 0, group.pointee.gr_gid) == 0, fchmod(descriptor, 0o640) == 0 else {
                throw failure("give to the group logboom", code: errno)
            }
        }
        var rest = new[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw failure("write", code: errno) }
            rest = rest.dropFirst(count)
        }
        guard fsync(descriptor) == 0 else { throw failure("write", code: errno) }
        isClosed = true
        guard close(descriptor) == 0 else { throw failure("write", code: errno) }
        guard rename(temporary, path) == 0 else { throw failure("replace", code: errno) }
        // So that a power cut brings no revoked token back. A folder that cannot be synced keeps the change all the same.
        _ = fsync(lock)
    }
}
