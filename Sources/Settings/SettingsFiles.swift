internal import Admission
import Glibc

/// Why a file could not be read.
package enum FileProblem: Error, Sendable, Equatable {
    case missing
    /// `errno` of the call that failed.
    case system(Int32)
    /// Larger than was allowed, in bytes.
    case tooLarge(byteCountMax: Int)
    /// A folder, a pipe or a device.
    case notRegular
    /// Found, but not what was expected; a clause that says why.
    case unfit(String)

    /// A clause for a message.
    package var what: String {
        switch self {
        case .missing: "there is no such file"
        case .system(let code): "\(String(cString: strerror(code))) (errno \(code))"
        case .tooLarge(let byteCountMax): "the file is larger than \(byteCountMax) bytes"
        case .notRegular: "it is not a regular file"
        case .unfit(let what): what
        }
    }
}

/// Where settings come from in a running program, kept so that SIGHUP can read them all again.
package struct SettingsSource: Sendable {
    /// The file of the package; drop-ins are in the folder of the same name with `.d`.
    package static let standardPath = "/etc/logboom/logboom.conf"
    /// Drop-ins that are read at most; more is a mistake, such as a folder of logs.
    package static let dropInCountMax = 100

    /// `--config FILE`; `nil`: ``standardPath``, which may be missing.
    package var configurationPath: String?
    /// `--set KEY=VALUE`, in order.
    package var flags: [String]
    package var environment: [String: String]
    package var isRoot: Bool

    package init(
        configurationPath: String? = nil,
        flags: [String] = [],
        environment: [String: String] = SettingsSource.processEnvironment(),
        isRoot: Bool = geteuid() == 0
    ) {
        self.configurationPath = configurationPath
        self.flags = flags
        self.environment = environment
        self.isRoot = isRoot
    }

    /// Reads everything. Blocks on the disk; call it at start and on SIGHUP only.
    package func load() -> Result<LoadedSettings, SettingsProblems> {
        load(readFile: { Self.read($0, byteCountMax: 8192) }, readTokens: Self.readTokens)
    }

    /// The same with neither passwords nor tokens, which somebody else than the daemon may not be allowed to read, or which are
    /// still to be made.
    package func loadWithoutSecrets() -> Result<LoadedSettings, SettingsProblems> {
        load(readFile: { _ in .success(Self.anyPassword) }, readTokens: { _ in .success(Self.anyToken) })
    }

    private static let anyPassword = [UInt8(ascii: "-")]
    private static let anyToken = Array("- \(String(repeating: "0", count: 64)) read".utf8)

    private func load(
        readFile: @escaping @Sendable (String) -> Result<[UInt8], FileProblem>,
        readTokens: @escaping @Sendable (String) -> Result<[UInt8], FileProblem>
    ) -> Result<LoadedSettings, SettingsProblems> {
        var input = SettingsLoader.Input(environment: environment, flags: flags, isRoot: isRoot, readFile: readFile)
        input.readTokens = readTokens
        input.socketFolder = Self.socketFolder(isRoot: isRoot)
        let path = configurationPath ?? Self.standardPath
        switch Self.read(path, byteCountMax: EnvironmentFile.byteCountMax) {
        case .success(let bytes): input.files.append((path, bytes))
        case .failure(.missing) where configurationPath == nil: break
        case .failure(let problem): input.fileProblems.append(SettingsProblem("reading \(path): \(problem.what)"))
        }
        switch Self.dropIns(in: path + ".d") {
        case .failure(let problem):
            input.fileProblems.append(SettingsProblem("listing \(path).d: \(problem.what)"))
        case .success(let paths):
            for dropIn in paths {
                switch Self.read(dropIn, byteCountMax: EnvironmentFile.byteCountMax) {
                case .success(let bytes): input.files.append((dropIn, bytes))
                case .failure(let problem):
                    input.fileProblems.append(SettingsProblem("reading \(dropIn): \(problem.what)"))
                }
            }
        }
        return SettingsLoader.load(input)
    }

    /// Checks files alone, with neither environment nor flags: `logboom config --check FILE...`. Password files are not read:
    /// whoever checks may not be allowed to.
    package static func check(_ paths: [String]) -> Result<LoadedSettings, SettingsProblems> {
        var input = SettingsLoader.Input(isRoot: true)
        input.readFile = { _ in .success(anyPassword) }
        input.readTokens = { _ in .success(anyToken) }
        for path in paths {
            switch read(path, byteCountMax: EnvironmentFile.byteCountMax) {
            case .success(let bytes): input.files.append((path, bytes))
            case .failure(let problem): input.fileProblems.append(SettingsProblem("reading \(path): \(problem.what)"))
            }
        }
        return SettingsLoader.load(input)
    }

    /// This process's environment. A variable that is not UTF-8 is repaired, one without `=` left out.
    package static func processEnvironment() -> [String: String] {
        var variables: [String: String] = [:]
        var next = environ
        while let entry = next.pointee {
            let text = String(cString: entry)
            if let equals = text.firstIndex(of: "=") {
                variables[String(text[..<equals])] = String(text[text.index(after: equals)...])
            }
            next += 1
        }
        return variables
    }

    /// The password as it is now: from its file when it came from one, so that a corrected file is found without a
    /// restart, else as it was loaded. A file that cannot be read is a failure, not an empty password.
    package static func readPassword(of postgres: DatabaseSettings) -> Result<Secret?, FileProblem> {
        guard let path = postgres.passwordFile else { return .success(postgres.password) }
        return readSecret(path).map { $0 }
    }

    /// A secret from a file of its own: all of it but one line end.
    package static func readSecret(_ path: String) -> Result<Secret, FileProblem> {
        read(path, byteCountMax: 8192).flatMap { Secret.reading($0) }
    }

    /// The bytes of a tokens file, which nobody else may read or change.
    package static func readTokens(_ path: String) -> Result<[UInt8], FileProblem> {
        read(path, byteCountMax: TokenFile.byteCountMax, isPrivate: true)
    }

    /// The `*.conf` files of a folder in the order of their bytes; none when the folder is missing. Names that start with a
    /// point are left out, as editors leave such behind.
    static func dropIns(in folder: String) -> Result<[String], FileProblem> {
        guard let handle = opendir(folder) else {
            let code = errno
            if code == ENOENT || code == ENOTDIR { return .success([]) }
            return .failure(.system(code))
        }
        defer { closedir(handle) }
        var names: [String] = []
        while let entry = readdir(handle) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name.hasSuffix(".conf"), !name.hasPrefix(".") { names.append(name) }
        }
        guard names.count <= dropInCountMax else {
            return .failure(.unfit("\(names.count) files are more than the \(dropInCountMax) allowed"))
        }
        return .success(names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }.map { "\(folder)/\($0)" })
    }

    /// The packaged service's runtime folder, when this process can make a socket in it: or make the folder, as root.
    private static func socketFolder(isRoot: Bool) -> String? {
        let folder = "/run/logboom"
        if access(folder, F_OK) == 0 { return access(folder, W_OK | X_OK) == 0 ? folder : nil }
        return isRoot && access("/run", W_OK | X_OK) == 0 ? folder : nil
    }

    /// The whole of a regular file. Does not wait on a pipe or a device.
    ///
    /// - Parameter isPrivate: refuses a file that others than its owner and its group may read, or others than its owner may
    ///   change.
    static func read(_ path: String, byteCountMax: Int, isPrivate: Bool = false) -> Result<[UInt8], FileProblem> {
        // O_NONBLOCK so that a pipe in the place of a file does not hold up the start; it means nothing for a file.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { return .failure(errno == ENOENT ? .missing : .system(errno)) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { return .failure(.system(errno)) }
        guard status.st_mode & S_IFMT == S_IFREG else { return .failure(.notRegular) }
        if isPrivate, status.st_mode & 0o026 != 0 {
            let mode = String(status.st_mode & 0o777, radix: 8)
            return .failure(.unfit("mode \(mode) lets others read or change it; chmod 640, or 600, keeps them out"))
        }
        // Read until the end rather than for the size that fstat(2) tells: /proc says 0, and a file may be growing.
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16_384)
        while bytes.count <= byteCountMax {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count < 0 {
                if errno == EINTR { continue }
                return .failure(.system(errno))
            }
            if count == 0 { break }
            bytes += chunk[..<count]
        }
        guard bytes.count <= byteCountMax else { return .failure(.tooLarge(byteCountMax: byteCountMax)) }
        return .success(bytes)
    }
}

extension Secret {
    /// A password file's bytes as a secret, or what is wrong with them.
    static func reading(_ bytes: [UInt8]) -> Result<Secret, FileProblem> {
        do throws(ValueProblem) {
            return .success(try Secret(fileContent: bytes))
        } catch {
            return .failure(.unfit(error.what))
        }
    }
}
