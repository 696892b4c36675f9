# cmake --install: the module, oktasso.load and oktasso.conf where this httpd expects them.
install(TARGETS mod_oktasso LIBRARY DESTINATION ${HTTPD_LIBEXECDIR})
