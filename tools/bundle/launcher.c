/* One command of the portable folder: runs Python from the folder `lib` beside this file, wherever that is.
 *
 * Compiled once a command, with MODULE and FUNCTION (strings), and once without them as the plain interpreter
 * `lib/python`. The linker's run path is relative to the file, so that nothing need be set in the environment, and
 * nothing in it that is meant for another Python (PYTHONHOME, PYTHONPATH and the like) is read. */
#include <Python.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef MODULE
#define LEVELS 1 /* from the program up to the folder */
#else
#define LEVELS 2
#endif

static void stop_on(PyStatus status) {
    if (PyStatus_Exception(status)) Py_ExitStatusException(status);
}

static wchar_t *decoded(const char *path) {
    size_t length;
    wchar_t *text = Py_DecodeLocale(path, &length);
    if (text == NULL) {
        fprintf(stderr, "Error: the path %s cannot be decoded\n", path);
        exit(2);
    }
    return text;
}

/* ROOT/lib/pythonX.Y/BELOW as a module search path. */
static void search(PyConfig *config, const char *root, const char *below) {
    char path[PATH_MAX + 256];
    snprintf(path, sizeof path, "%s/lib/python%d.%d%s", root, PY_MAJOR_VERSION, PY_MINOR_VERSION, below);
    wchar_t *text = decoded(path);
    stop_on(PyWideStringList_Append(&config->module_search_paths, text));
    PyMem_RawFree(text);
}

static void set(PyConfig *config, wchar_t **member, const char *value) {
    wchar_t *text = decoded(value);
    stop_on(PyConfig_SetString(config, member, text));
    PyMem_RawFree(text);
}

int main(int count, char **arguments) {
    char program[PATH_MAX], root[PATH_MAX], interpreter[PATH_MAX + 16];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length <= 0) {
        fprintf(stderr, "Error: the program's folder cannot be found: /proc/self/exe cannot be read\n");
        return 2;
    }
    program[length] = '\0';
    memcpy(root, program, (size_t)length + 1);
    for (int level = 0; level < LEVELS; ++level) {
        char *slash = strrchr(root, '/');
        if (slash != NULL) *slash = '\0';
    }
    snprintf(interpreter, sizeof interpreter, "%s/lib/python", root);

    PyPreConfig preconfig;
    PyPreConfig_InitPythonConfig(&preconfig); /* the locale's encoding; UTF-8 in the C locale */
    preconfig.isolated = 1;
    preconfig.use_environment = 0;
    stop_on(Py_PreInitialize(&preconfig));

    PyConfig config;
    PyConfig_InitPythonConfig(&config);
    config.isolated = 1;
    config.use_environment = 0;
    config.user_site_directory = 0;
    config.site_import = 0;
    config.write_bytecode = 0;
    config.pathconfig_warnings = 0;
#ifdef MODULE
    config.parse_argv = 0;
    arguments[0] = program; /* networks are looked for beside it, also when it was found in PATH */
#endif
    stop_on(PyConfig_SetBytesArgv(&config, count, arguments));
    set(&config, &config.home, root);
    set(&config, &config.program_name, interpreter);
    set(&config, &config.executable, interpreter);
    config.module_search_paths_set = 1;
    search(&config, root, "");
    search(&config, root, "/lib-dynload");
    search(&config, root, "/site-packages");
    stop_on(Py_InitializeFromConfig(&config));
    PyConfig_Clear(&config);

#ifdef MODULE
    PyObject *module = PyImport_ImportModule(MODULE);
    PyObject *result = module == NULL ? NULL : PyObject_CallMethod(module, FUNCTION, NULL);
    if (result == NULL) PyErr_Print(); /* ends the process with the code of SystemExit */
    Py_XDECREF(result);
    Py_XDECREF(module);
    int code = result == NULL ? 1 : 0;
    return Py_FinalizeEx() < 0 ? 120 : code;
#else
    return Py_RunMain();
#endif
}
