# cmake --install: the module, oktasso.load and oktasso.conf where this httpd expects them; oktassoctl for root's PATH.
include(GNUInstallDirs)
install(TARGETS mod_oktasso LIBRARY DESTINATION ${HTTPD_LIBEXECDIR})
# Where README's links lead to.
install(FILES ${CMAKE_SOURCE_DIR}/README.md ${CMAKE_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/mod_oktasso)
install(FILES ${CMAKE_SOURCE_DIR}/conf.d/reference.md DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/mod_oktasso/conf.d)
install(FILES ${CMAKE_SOURCE_DIR}/t/browser/screenshots/application.png
        DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/mod_oktasso/t/browser/screenshots)
install(TARGETS oktassoctl RUNTIME DESTINATION ${CMAKE_INSTALL_SBINDIR})
configure_file(${CMAKE_SOURCE_DIR}/conf.d/oktasso.load.in ${CMAKE_BINARY_DIR}/oktasso.load @ONLY)
set(OKS_REFERENCE ${CMAKE_INSTALL_FULL_DATADIR}/doc/mod_oktasso/conf.d/reference.md)
configure_file(${CMAKE_SOURCE_DIR}/conf.d/oktasso.conf.in ${CMAKE_BINARY_DIR}/oktasso.conf @ONLY)
if(HTTPD_IS_DEBIAN)
    # Debian: a2enmod oktasso
    install(FILES ${CMAKE_BINARY_DIR}/oktasso.load ${CMAKE_BINARY_DIR}/oktasso.conf
            DESTINATION ${HTTPD_SYSCONFDIR}/mods-available)
else()
    install(FILES ${CMAKE_BINARY_DIR}/oktasso.load DESTINATION /etc/httpd/conf.modules.d RENAME 10-oktasso.conf)
    install(FILES ${CMAKE_BINARY_DIR}/oktasso.conf DESTINATION /etc/httpd/conf.d)
endif()
