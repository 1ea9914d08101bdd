# tessera_embed(TARGET FOLDER): adds the files of FOLDER to TARGET as the table of serve/http/assets.h.
# New files are picked up at the next build; a changed one is embedded again.
function(tessera_embed target folder)
  file(GLOB_RECURSE files CONFIGURE_DEPENDS RELATIVE ${folder} ${folder}/*)
  list(SORT files)
  set(source ${CMAKE_CURRENT_BINARY_DIR}/embedded_assets.cc)
  list(TRANSFORM files PREPEND ${folder}/ OUTPUT_VARIABLE paths)
  add_custom_command(
    OUTPUT ${source}
    COMMAND ${CMAKE_COMMAND} -DFOLDER=${folder} "-DFILES=${files}" -DSOURCE=${source}
            -P ${PROJECT_SOURCE_DIR}/cmake/embed_files.cmake
    DEPENDS ${paths} ${PROJECT_SOURCE_DIR}/cmake/embed_files.cmake
    VERBATIM)
  target_sources(${target} PRIVATE ${source})
endfunction()
